// Times, lengths and lists, as the person writes them.
import { say } from './say';

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto' });
const exactTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });
const clockTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const secondTime = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });
const dayTime = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', hour: '2-digit', minute: '2-digit' });
// The words around it are English as well.
const enumeration = new Intl.ListFormat('en', { type: 'conjunction' });

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** Roughly how long ago, or in how long: "2 minutes ago", "in 3 hours". */
export function ago(at: number, now: number): string {
  const distance = at - now;
  const size = Math.abs(distance);
  if (size < 45_000) return say(distance > 0 ? 'time-soon' : 'time-just-now');
  if (size < 90 * MINUTE) return relative.format(Math.round(distance / MINUTE), 'minute');
  if (size < 36 * HOUR) return relative.format(Math.round(distance / HOUR), 'hour');
  return relative.format(Math.round(distance / DAY), 'day');
}

/** The exact time, for a tooltip or a record in full. */
export function exact(at: number): string {
  return exactTime.format(at);
}

/** The time in a list: the clock today, the day before that. */
export function listed(at: number, now: number): string {
  return new Date(at).toDateString() === new Date(now).toDateString() ? clockTime.format(at) : dayTime.format(at);
}

/** The clock to the second, for a log. */
export function clock(at: number): string {
  return secondTime.format(at);
}

/** How long is left: "4:05". Never less than nothing. */
export function left(until: number, now: number): string {
  const seconds = Math.max(0, Math.ceil((until - now) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** How long something took: "3 ms", "1.3 s". */
export function took(milliseconds: number): string {
  if (milliseconds < 1000) return say('time-milliseconds', { count: Math.round(milliseconds) });
  return say('time-seconds', { count: Math.round(milliseconds / 100) / 10 });
}

/** "Mail, Chat, and Files", each once. */
export function together(names: string[]): string {
  return enumeration.format(new Set(names));
}

/** A digest or fingerprint in groups of four, short enough to compare by eye. */
export function fingerprint(digest: string, groups = 8): string {
  const hex = digest.replace(/^sha256:/, '').replace(/[^0-9a-fA-F]/g, '').toUpperCase();
  return (hex.match(/.{1,4}/g) ?? []).slice(0, groups).join(' ');
}
