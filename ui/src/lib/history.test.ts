import { mockIPC } from '@tauri-apps/api/mocks';
import { expect, it } from 'vitest';
import type { ActivityView, AdviceView, PastView } from '../bindings';
import { sampleCall } from '../testing';
import { History } from './history.svelte';

const ALL = { text: '', outcome: null };

/** An application with these latest calls and these pages of earlier ones. */
function application(latest: () => ActivityView[], pages: (PastView | AdviceView)[]): { looks: number[] } {
  const heard: { looks: number[] } = { looks: [] };
  let looks = 0;
  mockIPC((command, payload) => {
    if (command === 'activity') return latest();
    if (command === 'look_back') return ++looks;
    if (command !== 'past_calls') throw new Error(command);
    heard.looks.push((payload as { look: number }).look);
    const page = pages[heard.looks.length - 1] ?? { calls: [], back_to: null, is_over: true };
    return 'code' in page ? Promise.reject(page) : page;
  });
  return heard;
}

const calls = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => sampleCall({ call: `${from + index}` }));
const ids = (history: History) => history.rows.map((call) => call.call);

it('puts the latest before what was found further back, each call once', async () => {
  const latest = calls(0, 3);
  application(() => latest, [{ calls: calls(1, 60), back_to: 5, is_over: false }]);
  const history = new History();
  await history.begin(ALL);
  expect(ids(history)).toEqual(calls(0, 60).map((call) => call.call));
  expect([history.isOver, history.isLooking, history.backTo]).toEqual([false, false, 5]);
});

it('keeps what the application has in memory no longer', async () => {
  let latest = calls(5, 8);
  application(() => latest, []);
  const history = new History();
  await history.begin(ALL);
  latest = calls(3, 6);
  await history.refresh();
  expect(ids(history)).toEqual(['3', '4', '5', '6', '7']);
});

it('looks on where what is wanted is rare, and stops where it is over', async () => {
  const nothing = { calls: [], back_to: 3, is_over: false };
  const heard = application(() => [], [nothing, nothing, { calls: calls(7, 8), back_to: 1, is_over: true }]);
  const history = new History();
  await history.begin({ text: 'rare', outcome: null });
  expect([ids(history), history.isOver, history.backTo]).toEqual([['7'], true, 1]);
  await history.further();
  expect(heard.looks.length).toBe(3);
  expect(new Set(heard.looks).size).toBe(1);
});

it('gives up what was wanted before', async () => {
  const heard = application(() => [], [{ calls: calls(1, 2), back_to: 1, is_over: true }]);
  const history = new History();
  const first = history.begin({ text: 'first', outcome: null });
  const second = history.begin({ text: 'second', outcome: null });
  await Promise.all([first, second]);
  expect(ids(history)).toEqual(['1']);
  expect(heard.looks).toEqual([2]);
});

it('says what cannot be read, and tries again', async () => {
  const fault = { code: 'journal', happened: 'It cannot be read.', means: '', todo: '' };
  application(() => [], [{ calls: calls(1, 2), back_to: 1, is_over: false }, fault, { calls: calls(2, 3), back_to: 1, is_over: true }]);
  const history = new History();
  await history.begin(ALL);
  expect([ids(history), history.fault, history.isOver]).toEqual([['1'], fault, false]);
  await history.further();
  expect([ids(history), history.fault, history.isOver]).toEqual([['1', '2'], null, true]);
});
