import { emit } from '@tauri-apps/api/event';
import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import Question from './Question.svelte';
import type { PendingView } from './bindings';
import { ARMING_TIME } from './lib/armed';
import { playApplication, sampleConsent } from './testing';

let item: PendingView | null = null;
const answers: Record<string, (given: unknown) => unknown> = { question: () => item };
const called = playApplication(answers);

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

describe('diagnostics that IT asks for', () => {
  const asked = sampleConsent({
    title: 'Your IT department asks for diagnostics',
    deadline: Date.now() + 7 * 86_400_000,
    question: { kind: 'diagnostics', asked_by: 'Ada', reason: 'Calls to mail fail', since: Date.now() },
  });
  const shown = { sha256: 'sha256:aa', bytes: 900, collected: Date.now(), entries: [{ name: 'doctor.txt', about: 'what doctor says', bytes: 4, text: 'All is well.' }] };
  const button = (name: string) => screen.findByRole('button', { name }) as Promise<HTMLButtonElement>;
  const enabled = async (name: string) => {
    const found = await button(name);
    await waitFor(() => expect(found.disabled).toBe(false), { timeout: 4 * ARMING_TIME });
    return found;
  };

  it('shows all that would go, and sends what it showed', async () => {
    answers.show_diagnostics = () => shown;
    item = asked;
    render(Question, { id: asked.id });
    expect(await screen.findByText('All is well.')).toBeTruthy();
    expect(screen.getByText('Ada')).toBeTruthy();
    expect(screen.getByText('“Calls to mail fail”')).toBeTruthy();
    await fireEvent.click(await enabled('Send'));
    await waitFor(() => expect(called).toContainEqual({ command: 'send_diagnostics', given: { sha256: 'sha256:aa' } }));
  });

  it('says what went wrong and keeps what it showed', async () => {
    answers.show_diagnostics = () => shown;
    answers.send_diagnostics = () => Promise.reject({ code: 'x', happened: 'The diagnostics were not sent.', means: '', todo: 'Send it again in a while.' });
    item = asked;
    render(Question, { id: asked.id });
    await fireEvent.click(await enabled('Send'));
    expect((await screen.findByRole('alert')).textContent).toContain('were not sent');
    expect(screen.getByText('All is well.')).toBeTruthy();
    expect((await enabled('Send')).disabled).toBe(false);
  });

  it('sends nothing where nothing could be collected, or the person says no', async () => {
    answers.show_diagnostics = () => Promise.reject({ code: 'x', happened: 'It could not be collected.', means: '', todo: '' });
    item = asked;
    render(Question, { id: asked.id });
    expect((await screen.findByRole('alert')).textContent).toContain('could not be collected');
    await fireEvent.click(await enabled('Do not send'));
    expect((await button('Send')).disabled).toBe(true);
    expect(called).toContainEqual({ command: 'refuse_diagnostics', given: { id: asked.id } });
  });
});
