// The windows with a catalogue and an application whose letters are all marked: a letter that is not was never in either.
import { emit } from '@tauri-apps/api/event';
import { Message, TextElement, Visitor, parse, serialize } from '@fluent/syntax';
import { cleanup, fireEvent, render, screen, waitFor } from '@testing-library/svelte';
import { tick } from 'svelte';
import { afterEach, describe, expect, it, vi } from 'vitest';
import App from './App.svelte';
import Question from './Question.svelte';
import type { Place, PendingView, WindowView } from './bindings';
import { NOW, playApplication, sampleAssistant, sampleCall, sampleConnector, sampleConsent, sampleView } from './testing';

/** The same letters in their full width. */
const marked = vi.hoisted(() => {
  const times = () => '12';
  Intl.RelativeTimeFormat.prototype.format = times;
  Intl.ListFormat.prototype.format = (names) => [...names].join(', ');
  Object.defineProperty(Intl.DateTimeFormat.prototype, 'format', { get: () => times });
  return (text: string) => text.replaceAll(/[A-Za-z]/g, (letter) => String.fromCharCode(letter.charCodeAt(0) + 0xfee0));
});

vi.mock('../words/en.ftl?raw', async (original) => {
  const { default: source } = await original<{ default: string }>();
  const resource = parse(source, {});
  const visitor = new (class extends Visitor {
    override visitTextElement(node: TextElement): void {
      node.value = node.value.split(/(<\/?[a-z]+>)/).map((part) => (part.startsWith('<') ? part : marked(part))).join('');
    }
  })();
  for (const entry of resource.body) if (entry instanceof Message) visitor.visit(entry);
  return { default: serialize(resource, {}) };
});

/** What the application says for programs, not for people. */
const KEYS = /^(id|code|kind|state|status|outcome|freshness|list|log|access|call_kind|client_id|hidden)$/;

/** A value with every text that a person may read marked. */
function dressed<T>(value: T, key = ''): T {
  if (Array.isArray(value)) return value.map((it) => dressed(it, key)) as T;
  if (typeof value === 'string') return (KEYS.test(key) ? value : marked(value)) as T;
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, it]) => [name, dressed(it, name)])) as T;
}

const READ = ['aria-label', 'aria-description', 'title', 'placeholder', 'alt'];

/** Every letter without a mark that is shown or read out. */
function unmarked(): string[] {
  const found: string[] = [];
  const note = (text: string | null) => {
    if (text && /[A-Za-z]/.test(text)) found.push(text.trim());
  };
  // What is typed or copied, and no sentence, stands in `pre`.
  for (const element of document.body.querySelectorAll('*:not(pre)')) {
    for (const name of READ) note(element.getAttribute(name));
    for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) note(node.textContent);
  }
  return found;
}

const advice = { code: 'keychain-locked', happened: 'It is locked.', means: 'Nothing is kept.', todo: 'Unlock it.' };
const server = {
  id: '1',
  title: 'Everyday',
  url: 'http://here',
  connectors: ['Files'],
  tools: (['allowed', 'asks', 'not_allowed'] as const).map((access) => ({ connector: 'Files', tool: access, access, reason: 'So.' })),
};
const change = { at: 'description', before: 'Reads.', after: 'Writes.', cut: true };
const held = (waits_for: string | null, id: string) => ({ id, part: 'tool', differences: [change], flags: ['It speaks.'], waits_for });
const signIn: PendingView = sampleConsent({ id: '2', question: { kind: 'sign_in' } as PendingView['question'] });
const program = { name: 'claude', path: '/opt/claude', pid: 42 };

const organisation: Partial<WindowView> = {
  status: 'refused',
  manager: { organisation: 'Acme', support: true, config_url: 'https://acme', fingerprint: 'AB' },
  session: { state: 'signed_out', label: null, words: 'Signed out' },
  offline_since: NOW,
  advice: [advice, { ...advice, code: 'org-unconfirmed' }],
  audit: { records: 3, receipted: 1, whole_at: NOW, broken: null },
  policy: { version: 'v', digest: '12', freshness: 'grace', since: NOW, until: NOW },
  farewell: { ends: ['All.'], stays: ['Nothing.'], accounts: 'One.' },
  settings: [{ name: 'Port', value: 'one', managed_by: 'Acme' }],
};

/** States that show between them what the windows can say. */
const STATES: Record<string, Partial<WindowView>> = {
  'personal and empty': {},
  'personal and new': { is_new: true, servers: [server] },
  'an organisation and new': { ...organisation, is_new: true, advice: [] },
  'an organisation and broken': { ...organisation, is_new: true, audit: { records: 3, receipted: 3, whole_at: null, broken: advice }, policy: null },
  'an organisation': { ...organisation, servers: [server] },
  paused: { paused: true, paused_until: NOW, session: { state: 'local', label: 'ada', words: 'Personal' } },
  full: {
    servers: [server, { ...server, id: '3', tools: [] }],
    pending: [sampleConsent(), signIn],
    recent: [sampleCall()],
    assistants: [sampleAssistant(), sampleAssistant({ client_id: '2', program, last_call: NOW })],
    approvals: [true, false].map((always) => ({
      id: String(always), assistant: 'Claude', server_title: 'Everyday', connector_title: 'Files', what: 'read', always, answered: NOW,
    })) as WindowView['approvals'],
    connectors: (['idle', 'ready', 'sign_in_needed', 'signing_in', 'unreachable'] as const).flatMap((status, at) => [
      sampleConnector({ id: `${at}`, status, own_account: true, account: 'ada', last_used: NOW, held: [held(null, `${at}h`)] }),
      sampleConnector({ id: `${at}b`, status, advice, tools: null, list: 'withheld' }),
      sampleConnector({ id: `${at}c`, status, advice, silent_since: NOW, list: at % 2 ? 'kept' : 'withdrawn', log: 'connection', held: [held('Acme', `${at}i`)] }),
    ]),
    settings: [{ name: 'Port', value: 'one', managed_by: 'IT' }],
    audit: { records: 1, receipted: null, whole_at: NOW, broken: null },
    policy: { version: 'v', digest: '12', freshness: 'own', since: NOW, until: null },
  },
};
const PLACES: Place[] = ['overview', 'connectors', 'assistants', 'activity', 'access', 'pending', 'settings', 'about'];

let view: WindowView = sampleView();
let item: PendingView | null = null;
const outcomes = ['running', 'done', 'failed', 'denied', 'sign_in_needed'] as const;
const found = { id: 'c', title: 'Cursor', file: '/ada', connected: [], others: ['github'], can_import: true, imported: [], trouble: null };

const answers: Record<string, () => unknown> = {
  view: () => view,
  question: () => item,
  about: () => ({ version: 'one', home: '/home', system: 'linux', web_view: 'two' }),
  doctor: () => ({
    format: 1, version: 'one', at: 'now', running: true,
    checks: (['ok', 'note', 'problem', 'not_checked'] as const).map((state) => ({ name: state, title: 'Port', state, found: 'It.', means: 'So.', todo: 'Do.' })),
  }),
  connector_log: () => ({
    entries: (['life', 'failed', 'printed'] as const).map((kind, number) => ({ number, at: NOW, process: 4, kind, text: 'started' })),
    next: 9, missed: 1, begun: 0,
  }),
  call_records: () => [{ title: 'The call', fate: 'Here.', line: '{"seq":7}' }],
  activity: () => outcomes.map((outcome, at) => sampleCall({ call: `${at}`, outcome })),
  local_assistants: () => [
    found,
    { ...found, id: 'd', connected: [{ server: '1', is_old: true }], imported: ['github'], trouble: advice },
    { ...found, id: 'e', connected: [{ server: '1', is_old: false }, { server: '3', is_old: false }] },
  ],
  propose_change: () => ({ id: 7, file: '/ada', diff: '-1\n+2\n', exact: true, next: 'Restart.' }),
  propose_connector: () => ({ id: 11, title: 'Files', diff: '-1\n+2\n' }),
  propose_removal: () => ({ id: 12, title: 'Files', diff: '-1\n+2\n' }),
  propose_import: () => ({ id: 9, diff: '-1\n+2\n', servers: ['github'], left: ['It stays.'], exact: true }),
  look_back: () => 1,
  past_calls: () => ({ calls: [], back_to: NOW, is_over: true }),
  save_activity: () => 1,
  save_further: () => ({ calls: 3, back_to: NOW, file: '/home/calls' }),
  try_out: () => ({ tools: 3, call: { connector: 'Files', tool: 'list', took: 12, fault: null } }),
};
playApplication(Object.fromEntries(Object.entries(answers).map(([command, answer]) => [command, () => dressed(answer())])));

afterEach(() => {
  cleanup();
  history.replaceState(null, '', '#');
});

async function press(button: HTMLElement): Promise<void> {
  await fireEvent.click(button);
  await tick();
  await new Promise((done) => setTimeout(done, 0));
}

describe('every letter is of the catalogue or of the application', () => {
  const cases = Object.keys(STATES).flatMap((state) => PLACES.map((place) => [state, place] as const));

  it.each(cases)('where it is %s: %s, and behind each button', async (state, place) => {
    view = sampleView(STATES[state]);
    history.replaceState(null, '', `#${place}`);
    render(App);
    const content = screen.getByRole('main');
    await waitFor(() => expect(content.textContent).not.toBe(''));
    await waitFor(() => expect(screen.getByRole('navigation').textContent).toContain('Ｐ'));
    await new Promise((done) => setTimeout(done, 0));
    const seen = new Set<string>();
    for (let pressed = 0; pressed < 200; pressed += 1) {
      expect(unmarked()).toEqual([]);
      const next = [...content.querySelectorAll('button')].find((it) => !it.disabled && !seen.has(`${it.getAttribute('aria-label')} ${it.textContent}`));
      if (!next) break;
      seen.add(`${next.getAttribute('aria-label')} ${next.textContent}`);
      await press(next);
    }
    expect(content.querySelectorAll('*').length).toBeGreaterThan(1);
  });

  const approval = {
    kind: 'approval' as const,
    assistant: 'Cursor',
    program: null,
    server_title: 'Everyday',
    connector_title: 'Mail',
    tool: 'send',
    call_kind: 'tool' as const,
    reason: 'It needs a person.',
    arguments: [
      { name: '', value: 'x'.repeat(1000), change: { kind: 'new' as const } },
      { name: 'to', value: 'b', change: { kind: 'other' as const, before: 'a' } },
      { name: 'cc', value: 'c', change: { kind: 'gone' as const } },
    ],
    compared: true,
    for_session: true,
    always: true,
    count: 2,
  };
  const consent = sampleConsent().question;
  const QUESTIONS: [string, PendingView['question']][] = [
    ['a socket', { ...consent, through: '/home/ada/desk.sock' } as PendingView['question']],
    ['a consent', { ...consent, described_at: 'host', name_differs: true } as PendingView['question']],
    ['a consent of a program that is not known', { ...consent, program: null, reach: [] } as PendingView['question']],
    ['an approval', approval],
    ['an approval of a resource', { ...approval, call_kind: 'resource', always: false, program, arguments: [] }],
    ['an approval of a prompt', { ...approval, call_kind: 'prompt', for_session: false, arguments: [] }],
  ];

  it.each(QUESTIONS)('of %s', async (_, question) => {
    item = dressed(sampleConsent({ question }));
    render(Question, { id: '1' });
    await screen.findByRole('main');
    expect(unmarked()).toEqual([]);
    item = null;
    await emit('state-changed');
    await waitFor(() => expect(screen.queryByRole('main')).toBeNull());
    expect(unmarked()).toEqual([]);
  });
});
