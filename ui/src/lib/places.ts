import type { Place, WindowView } from '../bindings';
import { type NameId, say } from './say';

/** A place of the sidebar. */
export interface PlaceEntry {
  id: Place;
  title: NameId;
}

/** The places, in the order of the sidebar. */
export const PLACES: readonly PlaceEntry[] = [
  { id: 'overview', title: 'place-overview' },
  { id: 'connectors', title: 'place-connectors' },
  { id: 'assistants', title: 'place-assistants' },
  { id: 'activity', title: 'place-activity' },
  { id: 'access', title: 'place-access' },
  { id: 'pending', title: 'place-pending' },
  { id: 'settings', title: 'place-settings' },
  { id: 'about', title: 'place-about' },
];

/** What a place is called. */
export function titleOf(place: Place): string {
  const entry = PLACES.find(({ id }) => id === place);
  return entry ? say(entry.title) : '';
}

/** The place that an address names, such as `#pending`; the Overview where it names none. */
export function placeIn(hash: string): Place {
  const name = hash.replace(/^#/, '');
  return PLACES.find((place) => place.id === name)?.id ?? 'overview';
}

/** The places that the sidebar shows: without those that IT has left out. */
export function shown(view: WindowView | null): readonly PlaceEntry[] {
  return PLACES.filter((place) => !view?.hidden.includes(place.id));
}

/** The place above or below among those that are shown; the ends hold. */
export function beside(places: readonly PlaceEntry[], place: Place, step: 1 | -1): Place {
  const at = places.findIndex((entry) => entry.id === place);
  const next = Math.min(places.length - 1, Math.max(0, at + step));
  return places[next]?.id ?? place;
}

/** How many things wait at a place: the badge beside it. */
export function badge(place: Place, view: WindowView | null): number {
  if (place !== 'pending' || view === null) return 0;
  const held = view.connectors.flatMap((connector) => connector.held).filter((part) => part.waits_for === null);
  return view.pending.length + held.length;
}
