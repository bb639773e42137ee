import type { AdviceView } from '../bindings';

type Outcome = { status: 'ok'; data: unknown } | { status: 'error'; error: AdviceView };

/** The last thing that could not be done, until the person has read it. */
export const failed: { advice: AdviceView | null } = $state({ advice: null });

/** Does something and keeps what went wrong, for the window to show. */
export async function tried(doing: Promise<Outcome>): Promise<boolean> {
  const outcome = await doing;
  failed.advice = outcome.status === 'error' ? outcome.error : null;
  return outcome.status === 'ok';
}
