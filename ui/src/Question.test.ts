import { emit } from '@tauri-apps/api/event';
import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import Question from './Question.svelte';
import type { PendingView } from './bindings';
import { ARMING_TIME } from './lib/armed';
import { playApplication, sampleConsent } from './testing';

let item: PendingView | null = null;
const called = playApplication({ question: () => item });

beforeEach(() => {
  vi.spyOn(document, 'hasFocus').mockReturnValue(true);
});
afterEach(() => {
  cleanup();
  vi.restoreAllMocks();
});

async function ask(question: PendingView) {
  item = question;
  render(Question, { id: question.id });
  return (await screen.findByRole('button', { name: 'Deny' })) as HTMLButtonElement;
}

type Approval = Extract<PendingView['question'], { assistant: string }>;

const approval = (value: string, changes: Partial<Approval> = {}): PendingView =>
  sampleConsent({
    question: {
      kind: 'approval',
      assistant: 'Cursor',
      program: { name: 'cursor', path: '/opt/cursor/cursor', pid: null },
      server_title: 'Everyday',
      connector_title: 'Mail',
      tool: 'send_message',
      call_kind: 'tool',
      reason: 'Mail needs a person.',
      arguments: [{ name: 'body', value, change: null }],
      compared: false,
      for_session: true,
      always: true,
      count: 1,
      ...changes,
    },
  });

describe('a consent', () => {
  it('says whose document an assistant names itself by', async () => {
    const sample = sampleConsent();
    if (sample.question.kind !== 'consent') throw new Error('a consent');
    await ask({ ...sample, question: { ...sample.question, described_at: 'assistant.example' } });
    expect(screen.getByText('as assistant.example describes it')).toBeTruthy();
  });

  it('takes no answer before half a second, then both alike', async () => {
    const deny = await ask(sampleConsent());
    const allow = screen.getByRole('button', { name: 'Allow' }) as HTMLButtonElement;
    expect([deny.disabled, allow.disabled]).toEqual([true, true]);
    await waitFor(() => expect(allow.disabled).toBe(false), { timeout: 4 * ARMING_TIME });
    expect(deny.disabled).toBe(false);
    expect(allow.className).toBe(deny.className);
    await fireEvent.click(allow);
    expect(called).toContainEqual({ command: 'answer_consent', given: { id: 'a1b2c3', allow: true } });
  });

  it('starts anew when the window was not in front', async () => {
    const deny = await ask(sampleConsent());
    await waitFor(() => expect(deny.disabled).toBe(false), { timeout: 4 * ARMING_TIME });
    await fireEvent.blur(window);
    await waitFor(() => expect(deny.disabled).toBe(true));
    await fireEvent.focus(window);
    expect(deny.disabled).toBe(true);
  });

  it('says who really asks and what for', async () => {
    await ask(sampleConsent());
    expect(screen.getByText(/\/opt\/claude\/claude/).textContent).toContain('process 42');
    expect(screen.getByText('read, write')).toBeTruthy();
    expect(screen.queryByText(/does not look like/)).toBeNull();
  });

  it('warns of a program that bears another name, and of one that is not known', async () => {
    const consent = sampleConsent();
    if (consent.question.kind !== 'consent') throw new Error('a consent was expected');
    await ask({ ...consent, question: { ...consent.question, name_differs: true } });
    expect(screen.getByText(/does not look like Claude Code/)).toBeTruthy();
    cleanup();
    await ask({ ...consent, question: { ...consent.question, program: null } });
    expect(screen.getByText(/could not be told/)).toBeTruthy();
  });

  it('says when it has ended', async () => {
    await ask(sampleConsent());
    item = null;
    await emit('state-changed');
    expect(await screen.findByText(/has ended/)).toBeTruthy();
  });
});

describe('an approval', () => {
  it('shows every argument and folds a long one without hiding it', async () => {
    const long = 'x'.repeat(5000);
    await ask(approval(long));
    expect(screen.getByText('Mail needs a person.')).toBeTruthy();
    expect(screen.getByText(/show all 5,000 characters/)).toBeTruthy();
    expect(screen.getByText(long)).toBeTruthy();
  });

  it.each([
    ['Allow once', 'allow_once'],
    ['Allow this tool for this session', 'allow_for_session'],
    ['Always allow this tool', 'allow_always'],
    ['Deny', 'deny'],
  ])('%s answers %s', async (name, reply) => {
    await ask(approval('hello'));
    const button = screen.getByRole('button', { name }) as HTMLButtonElement;
    await waitFor(() => expect(button.disabled).toBe(false), { timeout: 4 * ARMING_TIME });
    await fireEvent.click(button);
    expect(called).toContainEqual({ command: 'answer_approval', given: { id: 'a1b2c3', reply, seen: 1 } });
  });

  it('offers no more than policy allows', async () => {
    await ask(approval('hello', { for_session: false, always: false }));
    expect(screen.getByRole('button', { name: 'Allow once' })).toBeTruthy();
    expect(screen.queryByRole('button', { name: /session|[Aa]lways/ })).toBeNull();
  });

  it('says how many calls one answer is for, and is armed anew when there is one more', async () => {
    const deny = await ask(approval('hello', { count: 2 }));
    expect(screen.getByText(/waits 2 times/)).toBeTruthy();
    await waitFor(() => expect(deny.disabled).toBe(false), { timeout: 4 * ARMING_TIME });
    item = approval('hello', { count: 3 });
    await emit('state-changed');
    await screen.findByText(/waits 3 times/);
    expect((screen.getByRole('button', { name: 'Allow once' }) as HTMLButtonElement).disabled).toBe(true);
  });

  it('marks what differs from the last call that was allowed', async () => {
    const changed = { name: 'to', value: 'b@x.test', change: { kind: 'other' as const, before: 'a@x.test' } };
    const gone = { name: 'cc', value: 'c@x.test', change: { kind: 'gone' as const } };
    await ask(approval('hello', { compared: true, arguments: [changed, gone] }));
    expect(screen.getByText('changed')).toBeTruthy();
    expect(screen.getByText('a@x.test')).toBeTruthy();
    expect(screen.getByText('not sent this time')).toBeTruthy();
  });

  it('says which program was let in, and when that is not known', async () => {
    await ask(approval('hello'));
    expect(screen.getByText('/opt/cursor/cursor')).toBeTruthy();
    cleanup();
    await ask(approval('hello', { program: null }));
    expect(screen.getByText(/could not be told/)).toBeTruthy();
  });
});
