import { expect, it } from 'vitest';
import { sampleCall } from '../testing';
import { passes } from './search';

const call = sampleCall({ target: 'execute_sql', connector: 'Warehouse', assistant: 'Cursor', outcome: 'denied', rules: ['analysts'] });

it('wants every word, wherever it stands', () => {
  expect(passes(call, { text: 'cursor ware', outcome: null })).toBe(true);
  expect(passes(call, { text: 'ANALYSTS', outcome: null })).toBe(true);
  expect(passes(call, { text: 'cursor mail', outcome: null })).toBe(false);
  expect(passes(call, { text: '   ', outcome: null })).toBe(true);
});

it('wants the outcome', () => {
  expect(passes(call, { text: '', outcome: 'denied' })).toBe(true);
  expect(passes(call, { text: '', outcome: 'done' })).toBe(false);
});
