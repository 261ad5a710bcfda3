import { expect, test } from 'vitest';
import { chosen, filteredColumns, left, toggled, word } from '../src/brand/facetWords';

const facet = { name: 'metadata.price', kind: 'numbers' as const, counts: [], next: null };
const red = { metadata: '{"color":"red"}' };
const cheap = { metadata: '{"price":{"from":0,"below":5}}' };

test('a choice is made and taken back', () => {
  expect(toggled({}, { tag: 'shoe' })).toEqual({ tag: 'shoe' });
  expect(toggled({ tag: 'hat' }, { tag: 'shoe' })).toEqual({ tag: 'shoe' });
  expect(toggled({ tag: 'shoe' }, { tag: 'shoe' })).toEqual({ tag: null });
});

test('columns are filtered by together, each once', () => {
  const both = toggled(red, cheap)['metadata'] ?? '';
  expect(JSON.parse(both)).toEqual({ color: 'red', price: { from: 0, below: 5 } });
  expect(toggled({ metadata: both }, cheap)).toEqual(red);
  expect(toggled(red, red)).toEqual({ metadata: null });
  expect(JSON.parse(toggled(red, { metadata: '{"color":"blue"}' })['metadata'] ?? '')).toEqual({
    color: 'blue',
  });
  expect(filteredColumns({ metadata: both })).toEqual(['color', 'price']);
});

test('what is chosen is known, whatever else is', () => {
  expect(chosen({ tag: 'shoe', shape: 'tall' }, { tag: 'shoe' })).toBe(true);
  expect(chosen({}, { tag: 'shoe' })).toBe(false);
  const both = toggled(red, cheap)['metadata'] ?? '';
  expect(chosen({ metadata: both }, cheap)).toBe(true);
  expect(chosen(red, cheap)).toBe(false);
});

test('an address that was written by hand chooses nothing', () => {
  for (const metadata of ['color:red', '[]', 'null', '"x"']) {
    expect(filteredColumns({ metadata })).toEqual([]);
    expect(chosen({ metadata }, red)).toBe(false);
    expect(toggled({ metadata }, red)).toEqual(red);
  }
});

test('buckets and what is left out are said', () => {
  const bucket = { value: '10', below: 20, count: 3, query: {} };
  expect(word({ ...facet, more: 0, without: 0, unlike: 0 }, bucket)).toBe('10 to 20');
  expect(left({ ...facet, more: 0, without: 0, unlike: 0 })).toBe('');
  expect(left({ ...facet, more: 1, without: 2, unlike: 3 })).toBe(
    '1 more value · 2 assets without · 3 values of another kind',
  );
});
