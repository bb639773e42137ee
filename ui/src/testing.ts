// What tests need: views as the application would send them, and its side of the calls. Not part of the windows.
import { clearMocks, mockIPC } from '@tauri-apps/api/mocks';
import { afterEach, beforeEach } from 'vitest';
import type { ActivityView, AssistantView, ConnectorView, PendingView, WindowView } from './bindings';

/** A fixed time: 2026-11-23, 12:00 UTC. */
export const NOW = Date.UTC(2026, 10, 23, 12, 0, 0);

/** One call that was made. */
export function sampleCall(changes: Partial<ActivityView> = {}): ActivityView {
  return {
    call: '0193',
    at: NOW - 60_000,
    assistant: 'Claude Code',
    server: 'Everyday',
    connector: 'Files',
    method: 'tools/call',
    target: 'read',
    outcome: 'done',
    outcome_words: 'Done',
    took: 3,
    rules: ['personal'],
    policy: 'personal',
    credential: '',
    arguments: [],
    ...changes,
  };
}

/** A connector that answers. */
export function sampleConnector(changes: Partial<ConnectorView> = {}): ConnectorView {
  return {
    id: 'files',
    title: 'Files',
    runs: 'mcp-server-filesystem, on this computer',
    credential: 'no account needed',
    own_account: false,
    account: null,
    status: 'ready',
    log: 'program',
    advice: null,
    tools: 14,
    list: 'current',
    held: [],
    silent_since: null,
    last_used: null,
    ...changes,
  };
}

/** An assistant that came in. */
export function sampleAssistant(changes: Partial<AssistantView> = {}): AssistantView {
  return {
    client_id: 'a',
    name: 'Claude Code',
    program: null,
    server: 'everyday',
    server_title: 'Everyday',
    allowed: NOW - 60_000,
    last_call: null,
    calls: 0,
    ...changes,
  };
}

/** A personal gateway that is ready and empty. */
export function sampleView(changes: Partial<WindowView> = {}): WindowView {
  return {
    status: 'ready',
    status_word: 'Ready',
    summary: 'Ready, but nothing is set up yet.',
    manager: { organisation: null, support: false, config_url: null, fingerprint: null },
    session: { state: 'local', label: 'ada', words: 'Personal, ada' },
    offline_since: null,
    address: 'http://127.0.0.1:7717',
    paused_until: null,
    paused: false,
    advice: [],
    pending: [],
    servers: [],
    connectors: [],
    assistants: [],
    approvals: [],
    recent: [],
    audit: { records: 0, receipted: null, whole_at: null, broken: null },
    policy: null,
    settings: [],
    hidden: [],
    settings_file: '/home/ada/.local/share/deskgate/deskgate.toml',
    farewell: null,
    update: { words: 'by whatever installed it', can_install: false, can_restart: false, can_look: false },
    is_new: false,
    ...changes,
  };
}

/** A consent that waits. */
export function sampleConsent(changes: Partial<PendingView> = {}): PendingView {
  return {
    id: 'a1b2c3',
    title: 'Claude Code wants to use Everyday',
    detail: 'The program that asks is /opt/claude/claude.',
    created: Date.now(),
    deadline: Date.now() + 300_000,
    question: {
      kind: 'consent',
      claimed_name: 'Claude Code',
      described_at: null,
      program: { name: 'claude', path: '/opt/claude/claude', pid: 42 },
      name_differs: false,
      through: null,
      server_title: 'Everyday',
      returns_to: '127.0.0.1:4000',
      acts_for: 'ada',
      reach: [{ title: 'Files', credential: 'no account needed', tools: ['read', 'write'] }],
    },
    ...changes,
  };
}

/** What a window has called, with its arguments. */
export interface Called {
  command: string;
  given: unknown;
}

/** Plays the application: answers calls and notes them. */
export function playApplication(answers: Record<string, (given: unknown) => unknown>): Called[] {
  const called: Called[] = [];
  beforeEach(() => {
    called.length = 0;
    mockIPC(
      (command, given) => {
        called.push({ command, given });
        return answers[command]?.(given) ?? null;
      },
      { shouldMockEvents: true },
    );
  });
  afterEach(() => clearMocks());
  return called;
}
