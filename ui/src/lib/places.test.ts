import { expect, it } from 'vitest';
import { PLACES, beside, placeIn, shown } from './places';
import { sampleView } from '../testing';

it('reads the place from the address', () => {
  expect(placeIn('#pending')).toBe('pending');
  expect(placeIn('')).toBe('overview');
  expect(placeIn('#<script>')).toBe('overview');
});

it('moves by one and stays at the ends', () => {
  expect(beside(PLACES, 'overview', -1)).toBe('overview');
  expect(beside(PLACES, 'overview', 1)).toBe('connectors');
  expect(beside(PLACES, 'about', 1)).toBe('about');
});

it('leaves out what IT has hidden', () => {
  const places = shown(sampleView({ hidden: ['quit', 'settings'] })).map((place) => place.id);
  expect(places).not.toContain('settings');
  expect(places).toHaveLength(7);
  expect(shown(null)).toHaveLength(8);
});

it('has eight places', () => {
  expect(new Set(PLACES.map((place) => place.id)).size).toBe(8);
});
