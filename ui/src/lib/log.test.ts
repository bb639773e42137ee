import { describe, expect, it } from 'vitest';
import type { LogEntryView, LogView } from '../bindings';
import { MOST_ENTRIES, NOTHING, asText, isShared, withPage } from './log';

function entry(number: number, changes: Partial<LogEntryView> = {}): LogEntryView {
  return { number, at: Date.UTC(2026, 10, 23, 12, 0, number), process: 42, kind: 'printed', text: `line ${number}`, ...changes };
}

function page(from: number, to: number, changes: Partial<LogView> = {}): LogView {
  const entries = Array.from({ length: to - from }, (_, at) => entry(from + at));
  return { entries, next: to, missed: 0, begun: 0, ...changes };
}

const numbers = (entries: readonly LogEntryView[]) => entries.map((one) => one.number);

describe('a log', () => {
  it('grows by what comes', () => {
    const shown = withPage(withPage(NOTHING, page(0, 2)), page(2, 3));
    expect(numbers(shown.entries)).toEqual([0, 1, 2]);
    expect(shown).toMatchObject({ next: 3, cut: false });
  });

  it('has no gap: what was before one is not shown any more', () => {
    const shown = withPage(withPage(NOTHING, page(0, 2)), page(5, 6, { missed: 3 }));
    expect(numbers(shown.entries)).toEqual([5]);
    expect(withPage(shown, page(6, 7)).cut).toBe(true);
  });

  it('keeps the last of very many', () => {
    const shown = withPage(NOTHING, page(0, MOST_ENTRIES + 2));
    expect(shown.entries.length).toBe(MOST_ENTRIES);
    expect(shown.entries[0]?.number).toBe(2);
    expect(shown.cut).toBe(true);
  });

  it('shows nothing of another person', () => {
    const shown = withPage(withPage(NOTHING, page(0, 3)), { entries: [], next: 3, missed: 0, begun: 3 });
    expect(shown).toEqual({ entries: [], next: 3, cut: false });
  });

  it('is copied as the command line prints it', () => {
    const entries = [entry(0, { kind: 'life', text: 'server started' }), entry(1), entry(2, { kind: 'failed', process: null, text: 'no' })];
    expect(asText(entries)).toBe(
      [
        '2026-11-23T12:00:00.000Z      42 * server started',
        '2026-11-23T12:00:01.000Z      42 | line 1',
        '2026-11-23T12:00:02.000Z       - ! no',
      ].join('\n'),
    );
  });

  it('names the process where several speak', () => {
    expect(isShared([entry(0), entry(1, { kind: 'life', process: 43 })])).toBe(false);
    expect(isShared([entry(0), entry(1, { process: 43 })])).toBe(true);
  });
});
