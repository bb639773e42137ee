import { type ActivityFilter, type ActivityView, type AdviceView, commands } from '../bindings';

/** So many further calls are looked for before the person has to scroll on. */
const ENOUGH = 50;

/** The calls that the Activity place lists: the latest as they change, and those before as far as somebody looks back. */
export class History {
  /** The calls, the newest first. */
  rows: ActivityView[] = $state.raw([]);
  /** Up to when was looked back; null before anything was. */
  backTo: number | null = $state(null);
  /** Whether further ones are being looked for. */
  isLooking: boolean = $state(false);
  /** Whether there are no further ones. */
  isOver: boolean = $state(false);
  /** Why no further ones can be looked for, until it is tried again. */
  fault: AdviceView | null = $state.raw(null);

  #filter: ActivityFilter = { text: '', outcome: null };
  #latest: ActivityView[] = [];
  #past: ActivityView[] = [];
  /** Counts the beginnings: an answer to an earlier one is not wanted any more. */
  #begun = 0;
  #look = 0;

  /** Begins anew, with the calls that pass. */
  async begin(filter: ActivityFilter): Promise<void> {
    this.#begun += 1;
    const begun = this.#begun;
    this.#filter = filter;
    this.#latest = [];
    this.#past = [];
    this.backTo = null;
    this.fault = null;
    this.isOver = false;
    // Until it is known which look it is.
    this.isLooking = true;
    const look = await commands.lookBack();
    if (begun !== this.#begun) return;
    this.#look = look;
    this.isLooking = false;
    await this.refresh();
    if (begun === this.#begun) await this.further();
  }

  /** Takes up what has changed of the latest calls. */
  async refresh(): Promise<void> {
    const begun = this.#begun;
    const fresh = await commands.activity(this.#filter);
    if (begun !== this.#begun) return;
    const known = new Set(fresh.map((call) => call.call));
    // What the application keeps in memory no longer is still what was done.
    this.#latest = [...fresh, ...this.#latest.filter((call) => !known.has(call.call))];
    this.#show();
  }

  /** Looks further back, until there are some more or it is over; given up when it begins anew. */
  async further(): Promise<void> {
    if (this.isLooking || this.isOver) return;
    const begun = this.#begun;
    const enough = this.#past.length + ENOUGH;
    this.fault = null;
    this.isLooking = true;
    while (!this.isOver && this.fault === null && this.#past.length < enough) {
      const answer = await commands.pastCalls(this.#look, this.#filter);
      if (begun !== this.#begun) return;
      if (answer.status === 'error') {
        this.fault = answer.error;
      } else {
        this.#past = [...this.#past, ...answer.data.calls];
        this.backTo = answer.data.back_to ?? this.backTo;
        this.isOver = answer.data.is_over;
        this.#show();
      }
    }
    this.isLooking = false;
  }

  #show(): void {
    const known = new Set(this.#latest.map((call) => call.call));
    this.rows = [...this.#latest, ...this.#past.filter((call) => !known.has(call.call))];
  }
}
