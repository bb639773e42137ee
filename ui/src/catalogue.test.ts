// What holds of the catalogue of words: that it can be read, that its types are true, and that its words are plain.
import { readFileSync } from 'node:fs';
import { Identifier, Message, Resource, SelectExpression, VariableReference, MessageReference, Visitor, parse, serializeExpression } from '@fluent/syntax';
import { describe, expect, it } from 'vitest';
import { parts, say } from './lib/say';

const source = readFileSync('words/en.ftl', 'utf8');
const resource = parse(source, {});
const messages = new Map(resource.body.filter((entry) => entry instanceof Message).map((entry) => [entry.id.name, entry]));

const PLURALS = ['zero', 'one', 'two', 'few', 'many', 'other'];

/** The variables of a message and of those that it refers to, each with what it may be. */
function variables(message: Message): Map<string, string> {
  const found = new Map<string, string>();
  const visitor = new (class extends Visitor {
    override visitSelectExpression(node: SelectExpression): void {
      if (node.selector instanceof VariableReference) {
        const keys = node.variants.map(({ key }) => (key instanceof Identifier ? key.name : key.value));
        const isCounted = keys.every((key) => PLURALS.includes(key) || /^\d+$/.test(key));
        found.set(node.selector.id.name, isCounted ? 'number' : keys.map((key) => `'${key}'`).join(' | '));
      }
      this.genericVisit(node);
    }
    override visitVariableReference(node: VariableReference): void {
      if (!found.has(node.id.name)) found.set(node.id.name, 'string | number');
    }
    override visitMessageReference(node: MessageReference): void {
      const other = messages.get(node.id.name);
      if (!other) throw new Error(`${message.id.name} refers to ${serializeExpression(node)}, which is not there`);
      for (const [name, type] of variables(other)) found.set(name, type);
    }
  })();
  visitor.visit(message);
  return new Map([...found].sort());
}

const textOf = (message: Message) => source.slice(message.span?.start, message.span?.end);
const isMarked = (message: Message) => /<[a-z]+>/.test(textOf(message));

/** The types of the messages, as TypeScript. */
function types(): string {
  const entry = ([id, message]: [string, Message]) => {
    const given = [...variables(message)].map(([name, type]) => `${name}: ${type}`).join('; ');
    return `  '${id}': ${given ? `{ ${given} }` : 'null'};`;
  };
  const marked = [...messages].filter(([, message]) => isMarked(message)).map(([id]) => `  | '${id}'`);
  return [
    '// Made from words/en.ftl by catalogue.test.ts: `npx vitest run -u catalogue` writes it anew.',
    '',
    '/** Every message of the catalogue, with its variables. */',
    'export interface Words {',
    ...[...messages].map(entry),
    '}',
    '',
    '/** The messages in which a stretch is marked. */',
    'export type MarkedId =',
    `${marked.join('\n')};`,
    '',
  ].join('\n');
}

/** Every source of the windows, without tests. */
const sources = Object.entries(
  import.meta.glob<string>(['./**/*.svelte', './**/*.ts', '!./**/*.test.ts', '!./testing.ts', '!./bindings.ts', '!./lib/catalogue.ts'], {
    query: '?raw',
    import: 'default',
    eager: true,
  }),
);

describe('the catalogue', () => {
  it('can be read, and names each message once', () => {
    expect(resource).toBeInstanceOf(Resource);
    expect(resource.body.filter((entry) => entry.type === 'Junk')).toEqual([]);
    expect(messages.size).toBe(resource.body.filter((entry) => entry instanceof Message).length);
  });

  it('has the types that the windows are checked against', async () => {
    await expect(types()).toMatchFileSnapshot('./lib/catalogue.ts');
  });

  it('has no message that nobody says', () => {
    const all = sources.map(([, text]) => text).join('\n');
    const referred = new Set([...source.matchAll(/\{ ([a-z][a-z0-9-]*) \}/g)].map((match) => match[1]));
    // The application's own: that it says them is checked where they are functions.
    const listed = readFileSync('../src-tauri/crates/say/src/lib.rs', 'utf8').match(/^messages! \{$(.*?)^\}$/ms)?.[1] ?? '';
    const application = new Set([...listed.matchAll(/^ {4}([a-z_]+)\(/gm)].map((match) => match[1]?.replaceAll('_', '-')));
    expect(application.size).toBeGreaterThan(0);
    const unsaid = [...messages.keys()].filter((id) => !all.includes(`'${id}'`) && !all.includes(`"${id}"`) && !referred.has(id) && !application.has(id));
    expect(unsaid).toEqual([]);
    expect([...application].filter((id) => !id || !messages.has(id))).toEqual([]);
  });

  it('speaks plainly', () => {
    const jargon = /\b(upstream|downstream|oauth|pkce|leases?|dpop|json-?rpc)\b/i;
    const found = [...messages.values()].filter((message) => !message.id.name.startsWith('about-') && jargon.test(textOf(message)));
    expect(found.map((message) => message.id.name)).toEqual([]);
  });
});

describe('a message', () => {
  it('has the plural of its language and the numbers of the person', () => {
    expect(say('counted-records', { count: 1 })).toBe('1 record');
    expect(say('counted-records', { count: 0 })).toBe('0 records');
    expect(say('counted-records', { count: 1284 })).toBe(`${new Intl.NumberFormat().format(1284)} records`);
  });

  it('has its own marks, and none of what stands in a value', () => {
    expect(parts('assistants-uses', { assistant: '<strong>Cursor</strong>', server: 'Every<dim>day' })).toEqual([
      { mark: null, text: '<strong>Cursor</strong> ' },
      { mark: 'dim', text: 'uses' },
      { mark: null, text: ' Every<dim>day' },
    ]);
  });

  it('is missed in a test', () => {
    // @ts-expect-error -- a variable is missing
    expect(() => say('sign-out-what', {})).toThrow('sign-out-what');
    // @ts-expect-error -- there is no such message
    expect(() => say('no-such-message')).toThrow('no-such-message');
  });
});
