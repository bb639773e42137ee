// The one way from the catalogue (`words/en.ftl`) to the windows.
import { FluentBundle, FluentNumber, FluentResource, type FluentVariable } from '@fluent/bundle';
import english from '../../words/en.ftl?raw';
import type { MarkedId, Words } from './catalogue';

/** The values of a message's variables; nothing where it has none. */
export type Given<Id extends keyof Words> = Words[Id] extends null ? [] : [given: Words[Id]];
/** The messages that are text alone. */
export type PlainId = Exclude<keyof Words, MarkedId>;
/** The messages without marks and variables: what a thing is called. */
export type NameId = { [Id in PlainId]: Words[Id] extends null ? Id : never }[PlainId];

/** A stretch of a message, and how the catalogue marks it. */
export interface Part {
  mark: Mark | null;
  text: string;
}
const MARKS = ['code', 'strong', 'dim', 'unseen', 'time'] as const;
/** What a stretch of a message can be marked as. */
export type Mark = (typeof MARKS)[number];

const numbers = new Intl.NumberFormat();

/** Its plural is the catalogue's language's, its digits are written the person's way. */
class Counted extends FluentNumber {
  override toString(): string {
    return numbers.format(this.value);
  }
}

// Without the characters that isolate values: texts are copied, and names lose what turns the direction of reading
// before they come here.
const bundle = new FluentBundle('en', { useIsolating: false });
const faults = bundle.addResource(new FluentResource(english));
if (import.meta.env.DEV && faults.length > 0) throw faults[0];

/** What a message says. */
export function say<Id extends PlainId>(id: Id, ...[given]: Given<Id>): string {
  return format(id, given ?? {}, (text) => text);
}

/** What a message with marks says, in stretches. */
export function parts<Id extends MarkedId>(id: Id, ...[given]: Given<Id>): Part[] {
  // Marks are the catalogue's: a value that looks like one is text.
  const text = format(id, given ?? {}, (value) => value.replaceAll('<', '\uE000'));
  const marked = new RegExp(`<(${MARKS.join('|')})>(.*?)</\\1>`, 'gs');
  const found: Part[] = [];
  const add = (mark: Mark | null, stretch: string) => {
    if (stretch !== '') found.push({ mark, text: stretch.replaceAll('\uE000', '<') });
  };
  let end = 0;
  for (const match of text.matchAll(marked)) {
    add(null, text.slice(end, match.index));
    add(MARKS.find((mark) => mark === match[1]) ?? null, match[2] ?? '');
    end = match.index + match[0].length;
  }
  add(null, text.slice(end));
  return found;
}

/** No fault of the catalogue blanks a window: what can be said is said. Tests fail on it. */
function format(id: string, given: object, written: (value: string) => string): string {
  const values: Record<string, FluentVariable> = {};
  for (const [name, value] of Object.entries(given)) {
    values[name] = typeof value === 'number' ? new Counted(value) : written(String(value));
  }
  const pattern = bundle.getMessage(id)?.value;
  const wrong: Error[] = pattern ? [] : [new RangeError(id)];
  const text = bundle.formatPattern(pattern ?? id, values, wrong);
  if (import.meta.env.DEV && wrong[0]) throw new Error(id, { cause: wrong[0] });
  return text;
}
