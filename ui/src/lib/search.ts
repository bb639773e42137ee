import type { ActivityView, OutcomeKind } from '../bindings';

/** What the Activity place shows of all calls. */
export interface Filter {
  /** Words that must all occur somewhere in a call. */
  text: string;
  /** Only calls with this outcome; all where it is null. */
  outcome: OutcomeKind | null;
}

/** Whether a call passes the filter. */
export function passes(call: ActivityView, filter: Filter): boolean {
  if (filter.outcome !== null && call.outcome !== filter.outcome) return false;
  const words = filter.text.toLowerCase().split(/\s+/).filter((word) => word !== '');
  if (words.length === 0) return true;
  const text = [call.assistant, call.server, call.connector, call.method, call.target, call.outcome_words, ...call.rules]
    .join(' ')
    .toLowerCase();
  return words.every((word) => text.includes(word));
}
