import { type Place, type WindowView, commands, events } from '../bindings';
import { placeIn } from './places';

/** How often relative times are written anew. */
const TICK = 15_000;

/** What the main window shows, kept in step with the application. */
export class Gate {
  /** The state as it was last asked for; null until the first answer. */
  view: WindowView | null = $state.raw(null);
  /** The place that is shown. */
  place: Place = $state('overview');
  /** Now, roughly: for relative times. */
  now: number = $state(Date.now());
  /** Counts the changes that were heard of, for places that ask for more than the view. */
  changes: number = $state(0);

  #asking = false;
  #stale = false;

  /** Starts to follow the application; the result ends it. */
  follow(): () => void {
    this.place = placeIn(location.hash);
    const heard = [
      events.stateChanged.listen(() => this.#changed()),
      events.goTo.listen((event) => this.go(event.payload)),
    ];
    const onHash = () => (this.place = placeIn(location.hash));
    window.addEventListener('hashchange', onHash);
    const timer = setInterval(() => (this.now = Date.now()), TICK);
    this.#changed();
    return () => {
      clearInterval(timer);
      window.removeEventListener('hashchange', onHash);
      for (const listening of heard) void listening.then((stop) => stop());
    };
  }

  /** Shows a place. */
  go(place: Place): void {
    this.place = place;
    history.replaceState(null, '', `#${place}`);
  }

  /** Asks for the state; what changes while the answer is on its way is asked for once more. */
  #changed(): void {
    this.#stale = true;
    if (!this.#asking) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    while (this.#stale) {
      this.#stale = false;
      this.view = await commands.view();
      this.now = Date.now();
      this.changes += 1;
    }
    this.#asking = false;
  }
}
