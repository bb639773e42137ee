import type { LogEntryView, LogKind, LogView } from '../bindings';

/** The most entries that are shown at once. */
export const MOST_ENTRIES = 4000;

/** What a window shows of a log. */
export interface Shown {
  entries: readonly LogEntryView[];
  /** The number of the entry to ask for next. */
  next: number;
  /** Whether there were entries before these that are not shown. */
  cut: boolean;
}

/** Nothing yet. */
export const NOTHING: Shown = { entries: [], next: 0, cut: false };

/** Takes up what has come since. */
export function withPage(shown: Shown, page: LogView): Shown {
  const before = page.missed > 0 ? [] : shown.entries.filter((entry) => entry.number >= page.begun);
  const all = [...before, ...page.entries];
  const entries = all.slice(-MOST_ENTRIES);
  const cut = page.missed > 0 || entries.length < all.length || (shown.cut && before.length > 0);
  return { entries, next: page.next, cut };
}

const MARKS: Record<LogKind, string> = { printed: '|', life: '*', failed: '!' };

/** The entries as text, in the form of `deskgate logs`. */
export function asText(entries: readonly LogEntryView[]): string {
  const line = ({ at, process, kind, text }: LogEntryView) =>
    `${new Date(at).toISOString()} ${String(process ?? '-').padStart(7)} ${MARKS[kind]} ${text}`;
  return entries.map(line).join('\n');
}

/** Whether more than one process speaks, so that each line has to say which. */
export function isShared(entries: readonly LogEntryView[]): boolean {
  return new Set(entries.filter((entry) => entry.kind === 'printed').map((entry) => entry.process)).size > 1;
}
