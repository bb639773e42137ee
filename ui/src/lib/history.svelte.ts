import { type ActivityFilter, type ActivityView, commands } from '../bindings';
import { failed } from './errors.svelte';

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

  #filter: ActivityFilter = { text: '', outcome: null };
  #latest: ActivityView[] = [];
  #past: ActivityView[] = [];
  // Another window may have looked back before this one.
  #look = Date.now() % 2 ** 31;

  /** Begins anew, with the calls that pass. */
  async begin(filter: ActivityFilter): Promise<void> {
    this.#look = (this.#look + 1) % 2 ** 32;
    this.#filter = filter;
    this.#latest = [];
    this.#past = [];
    this.backTo = null;
    this.isOver = false;
    this.isLooking = false;
    const look = this.#look;
    await this.refresh();
    if (look === this.#look) await this.further();
  }

  /** Takes up what has changed of the latest calls. */
  async refresh(): Promise<void> {
    const look = this.#look;
    const fresh = await commands.activity(this.#filter);
    if (look !== this.#look) return;
    const known = new Set(fresh.map((call) => call.call));
    // What the application keeps in memory no longer is still what was done.
    this.#latest = [...fresh, ...this.#latest.filter((call) => !known.has(call.call))];
    this.#show();
  }

  /** Looks further back, until there are some more or it is over; given up when it begins anew. */
  async further(): Promise<void> {
    if (this.isLooking || this.isOver) return;
    const look = this.#look;
    const enough = this.#past.length + ENOUGH;
    this.isLooking = true;
    while (!this.isOver && this.#past.length < enough) {
      const answer = await commands.pastCalls(look, this.#filter);
      if (look !== this.#look) return;
      if (answer.status === 'error') {
        failed.advice = answer.error;
        this.isOver = true;
      } else {
        this.#past = [...this.#past, ...answer.data.calls];
        this.backTo = answer.data.back_to ?? this.backTo;
        this.isOver = answer.data.is_over;
      }
      this.#show();
    }
    this.isLooking = false;
  }

  #show(): void {
    const known = new Set(this.#latest.map((call) => call.call));
    this.rows = [...this.#latest, ...this.#past.filter((call) => !known.has(call.call))];
  }
}
