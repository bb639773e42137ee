import { type ActivityFilter, type AdviceView, type SavingView, commands } from '../bindings';

/** Saves the calls that pass in a file, and says how far it is. */
export class Saving {
  /** How far it is; null where nothing was saved yet. */
  progress: SavingView | null = $state.raw(null);
  /** Whether it goes on. */
  isUnderWay: boolean = $state(false);
  /** Why it did not work. */
  fault: AdviceView | null = $state.raw(null);

  /** The number of the file, while it is written. */
  #number: number | null = null;
  /** Counts the beginnings: an answer to what was given up is not wanted any more. */
  #begun = 0;

  /** Saves the calls that pass. */
  async save(filter: ActivityFilter): Promise<void> {
    this.dismiss();
    this.isUnderWay = true;
    const begun = this.#begun;
    const number = await commands.saveActivity(filter);
    if (begun !== this.#begun) {
      // Whoever gave up meanwhile has given up one that was not there yet.
      if (number.status === 'ok') void commands.stopSaving(number.data);
      return;
    }
    if (number.status === 'error') return this.#end(number.error);
    this.#number = number.data;
    for (;;) {
      const answer = await commands.saveFurther(number.data);
      if (begun !== this.#begun) return;
      if (answer.status === 'error') return this.#end(answer.error);
      this.progress = answer.data;
      if (answer.data.file !== null) return this.#end(null);
    }
  }

  /** Gives it up; no file is left. */
  giveUp(): void {
    const number = this.#number;
    this.dismiss();
    if (number !== null) void commands.stopSaving(number);
  }

  /** What was said of it has been read. */
  dismiss(): void {
    this.#begun += 1;
    this.progress = null;
    this.#end(null);
  }

  #end(fault: AdviceView | null): void {
    this.#number = null;
    this.isUnderWay = false;
    this.fault = fault;
  }
}

/** It goes on while other places are looked at. */
export const saving = new Saving();
