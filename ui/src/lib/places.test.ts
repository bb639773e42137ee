import { expect, it } from 'vitest';
import { PLACES, beside, placeIn } from './places';

it('reads the place from the address', () => {
  expect(placeIn('#pending')).toBe('pending');
  expect(placeIn('')).toBe('overview');
  expect(placeIn('#<script>')).toBe('overview');
});

it('moves by one and stays at the ends', () => {
  expect(beside('overview', -1)).toBe('overview');
  expect(beside('overview', 1)).toBe('connectors');
  expect(beside('about', 1)).toBe('about');
});

it('has eight places', () => {
  expect(new Set(PLACES.map((place) => place.id)).size).toBe(8);
});
