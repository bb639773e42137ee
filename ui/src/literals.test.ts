// Nothing that a person reads stands in a component or a module: only the catalogue has words.
import { type AST, parse } from 'svelte/compiler';
import { describe, expect, it } from 'vitest';

const components = import.meta.glob<string>('./**/*.svelte', { query: '?raw', import: 'default', eager: true });
const modules = import.meta.glob<string>(['./**/*.ts', '!./**/*.test.ts', '!./testing.ts', '!./bindings.ts', '!./lib/catalogue.ts'], {
  query: '?raw',
  import: 'default',
  eager: true,
});

/** Attributes and properties of components that end before a person's eyes or ears. */
const READ = /^(aria-(label|description|roledescription|valuetext|placeholder)|title|label|placeholder|alt|what|text|said|words)$/;

/** Whatever has a type: a node of a template or of a script. */
interface Node {
  type: string;
  [key: string]: unknown;
}
const isNode = (it: unknown): it is Node => typeof it === 'object' && it !== null && typeof (it as Node).type === 'string';
const nodesOf = (it: unknown): Node[] => (Array.isArray(it) ? it.filter(isNode) : isNode(it) ? [it] : []);
const children = (node: Node): Node[] => Object.entries(node).flatMap(([key, value]) => (key === 'parent' || key === 'metadata' ? [] : nodesOf(value)));
const hasLetters = (text: unknown): text is string => typeof text === 'string' && /\p{L}/u.test(text);

/** The texts that an expression may be, without what is asked for or handed on. */
function said(node: Node): string[] {
  switch (node.type) {
    case 'Literal':
      return hasLetters(node.value) ? [node.value] : [];
    case 'TemplateLiteral':
      return [...nodesOf(node.quasis).flatMap((quasi) => saidRaw(quasi)), ...nodesOf(node.expressions).flatMap(said)];
    case 'ConditionalExpression':
      return [...nodesOf(node.consequent), ...nodesOf(node.alternate)].flatMap(said);
    case 'LogicalExpression':
      return [...nodesOf(node.left), ...nodesOf(node.right)].flatMap(said);
    case 'BinaryExpression':
      return node.operator === '+' ? [...nodesOf(node.left), ...nodesOf(node.right)].flatMap(said) : [];
    default:
      return [];
  }
}

function saidRaw(quasi: Node): string[] {
  const { raw } = quasi.value as { raw: string };
  return hasLetters(raw) ? [raw] : [];
}

/** The words of a template. */
function template(node: Node): string[] {
  if (node.type === 'Text') return hasLetters(node.data) ? [node.data.trim()] : [];
  if (node.type === 'ExpressionTag') return said(node.expression as Node);
  if (node.type === 'Attribute' && !READ.test(node.name as string)) return [];
  if (/^(OnDirective|BindDirective|ClassDirective|StyleDirective|UseDirective|Comment|StyleSheet)$/.test(node.type)) return [];
  return children(node).flatMap(template);
}

const WORDS = /\p{L}{2,} \p{L}|^\p{Lu}\p{Ll}/u;

/** What reads like words in a script: several of them, or one that begins as a sentence does. What is compared is a name. */
function script(node: Node): string[] {
  if (node.type === 'BinaryExpression' && /^[!=]==$/.test(node.operator as string)) return [];
  if (/^(ImportDeclaration|TSLiteralType|Property)$/.test(node.type)) return nodesOf(node.value).flatMap(script);
  if (node.type === 'Literal') return typeof node.value === 'string' && WORDS.test(node.value) ? [node.value] : [];
  if (node.type === 'TemplateElement') return saidRaw(node).filter((raw) => WORDS.test(raw));
  return children(node).flatMap(script);
}

function wordsOf(source: string): string[] {
  const root: AST.Root = parse(source, { modern: true });
  const scripts = nodesOf([root.instance?.content, root.module?.content]);
  return [...template(root.fragment as unknown as Node), ...scripts.flatMap(script)];
}

describe('no words', () => {
  it.each(Object.entries(components))('in %s', (_, source) => expect(wordsOf(source)).toEqual([]));

  it.each(Object.entries(modules))('in %s', (_, source) => expect(wordsOf(`<script lang="ts">${source}</script>`)).toEqual([]));

  it.each([
    ['<p>Ready</p>', ['Ready']],
    ['<button aria-label="Close it">{a}</button>', ['Close it']],
    ['<Section title="Close it">{a}</Section>', ['Close it']],
    ['{a === "ready" ? "good" : say("x-y")}', ['good']],
    ['<i title={`${a} left`}></i>', [' left']],
    ['<i class="ready" onclick={() => go("ready")}>{go("ready")}</i>', []],
    ['<script lang="ts">const a = { ready: "Ready" };</script>', ['Ready']],
    ['<script lang="ts">const a = key === "Escape" ? `it is over` : "ready";</script>', ['it is over']],
  ])('are overlooked: %s', (source, found) => expect(wordsOf(source)).toEqual(found));
});
