import { expect, it } from 'vitest';
import { Arming } from './armed';

it('takes no answer until it was looked at for half a second', () => {
  const arming = new Arming();
  expect(arming.armed(10_000)).toBe(false);
  arming.looked(10_000);
  expect(arming.armed(10_499)).toBe(false);
  expect(arming.armed(10_500)).toBe(true);
});

it('starts anew whenever the window was not in front', () => {
  const arming = new Arming();
  arming.looked(0);
  arming.looked(null);
  expect(arming.armed(5_000)).toBe(false);
  arming.looked(5_000);
  expect(arming.armed(5_200)).toBe(false);
  expect(arming.armed(5_500)).toBe(true);
});
