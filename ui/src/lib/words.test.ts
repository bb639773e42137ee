import { describe, expect, it } from 'vitest';
import { ago, fingerprint, left, listed, took } from './words';

const NOW = Date.UTC(2026, 10, 23, 12, 0, 0);
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

describe('ago', () => {
  it.each([
    [0, 'just now'],
    [44 * SECOND, 'just now'],
    [50 * SECOND, '1 minute ago'],
    [2 * MINUTE, '2 minutes ago'],
    [89 * MINUTE, '89 minutes ago'],
    [3 * HOUR, '3 hours ago'],
    [26 * HOUR, '26 hours ago'],
    [72 * HOUR, '3 days ago'],
  ])('%i ms back is "%s"', (back, words) => {
    expect(ago(NOW - back, NOW)).toBe(words);
  });

  it('speaks of the future too', () => {
    expect(ago(NOW + 10 * SECOND, NOW)).toBe('in a moment');
    expect(ago(NOW + 5 * MINUTE, NOW)).toBe('in 5 minutes');
  });
});

describe('left', () => {
  it.each([
    [245 * SECOND, '4:05'],
    [59.2 * SECOND, '1:00'],
    [1, '0:01'],
    [0, '0:00'],
    [-5 * SECOND, '0:00'],
  ])('%d ms are "%s"', (rest, words) => {
    expect(left(NOW + rest, NOW)).toBe(words);
  });
});

describe('listed', () => {
  it('leaves the day out today', () => {
    expect(listed(NOW, NOW)).not.toMatch(/Nov/);
    expect(listed(NOW - 48 * HOUR, NOW)).toMatch(/Nov/);
  });
});

it('writes lengths, numbers and fingerprints', () => {
  expect(took(3.2)).toBe('3 ms');
  expect(took(1340)).toBe('1.3 s');
  expect(fingerprint('sha256:5f1c0b9d2a7e', 2)).toBe('5F1C 0B9D');
});
