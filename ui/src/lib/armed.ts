/** How long a question has to be on the screen before it can be answered. */
export const ARMING_TIME = 500;

/**
 * Whether an answer counts. A window that appears under the pointer or the Return key of somebody who is typing must not
 * take that as a "yes": answers count only after the window has been looked at, without a break, for half a second.
 */
export class Arming {
  #since: number | null = null;

  /** The window is in front since then; null when it is not. */
  looked(since: number | null): void {
    this.#since = since;
  }

  /** Whether an answer given now counts. */
  armed(now: number): boolean {
    return this.#since !== null && now - this.#since >= ARMING_TIME;
  }
}
