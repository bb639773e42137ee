import { mockIPC } from '@tauri-apps/api/mocks';
import { cleanup, fireEvent, render, screen } from '@testing-library/svelte';
import { afterEach, expect, it } from 'vitest';
import type { AdviceView, SavingView } from '../bindings';
import Save from '../parts/Save.svelte';
import { Saving } from './saving.svelte';

const ALL = { text: 'mail', outcome: null };
const FULL: AdviceView = { code: 'activity-not-saved', happened: 'Nothing could be saved.', means: '', todo: '' };

afterEach(cleanup);

/** An application that saves in these steps, each once it is let go on. */
function application(steps: (SavingView | AdviceView)[]) {
  const heard: string[] = [];
  const waiting: (() => void)[] = [];
  mockIPC((command, payload) => {
    heard.push(command);
    if (command === 'save_activity') {
      expect(payload).toEqual({ filter: ALL });
      return 7;
    }
    if (command !== 'save_further') return null;
    expect(payload).toEqual({ saving: 7 });
    const step = steps.shift() as SavingView | AdviceView;
    return new Promise((resolve, reject) => waiting.push(() => ('code' in step ? reject(step) : resolve(step))));
  });
  const next = async () => {
    await expect.poll(() => waiting.length).toBeGreaterThan(0);
    waiting.shift()?.();
  };
  return { heard, next };
}

it('tells how far it is, and where the file lies', async () => {
  const { heard, next } = application([
    { calls: 2000, back_to: 1_700_000_000_000, file: null },
    { calls: 2500, back_to: 1_600_000_000_000, file: '/home/ada/Downloads/calls.jsonl' },
  ]);
  const saving = new Saving();
  render(Save, { saving });
  expect(screen.queryByRole('status')).toBeNull();
  const whole = saving.save(ALL);
  expect(await screen.findByText('Saving…')).toBeTruthy();
  await next();
  expect(await screen.findByText(/^Saving: 2,000 calls, back to .*2023/)).toBeTruthy();
  await next();
  await whole;
  expect(await screen.findByText('/home/ada/Downloads/calls.jsonl')).toBeTruthy();
  await fireEvent.click(screen.getByRole('button', { name: 'Open the folder' }));
  await fireEvent.click(screen.getByRole('button', { name: 'Close' }));
  expect(screen.queryByRole('status')).toBeNull();
  expect(heard).toEqual(['save_activity', 'save_further', 'save_further', 'show_saved']);
});

it('is given up, whatever comes after that', async () => {
  const { heard, next } = application([{ calls: 2000, back_to: null, file: null }]);
  const saving = new Saving();
  render(Save, { saving });
  const whole = saving.save(ALL);
  await fireEvent.click(await screen.findByRole('button', { name: 'Cancel' }));
  await next();
  await whole;
  expect(saving.progress).toBeNull();
  expect(heard.slice(-1)).toEqual(['stop_saving']);
});

it('says why it did not work', async () => {
  const { next } = application([FULL]);
  const saving = new Saving();
  render(Save, { saving });
  const whole = saving.save(ALL);
  await next();
  await whole;
  expect(await screen.findByText('Nothing could be saved.')).toBeTruthy();
  expect(screen.queryByText('Saving…')).toBeNull();
});
