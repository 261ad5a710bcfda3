import { describe, expect, it } from 'vitest';
import { titled, textOf, SYSTEM_TABS } from '../src/places';
import { type Entry, ranked, score, SHOWN_MAX } from '../src/palette/ranking';

const entry = (text: string, group: Entry['group'] = 'Brands'): Entry => ({
  id: text,
  group,
  text,
  run: () => undefined,
});
const texts = (typed: string, ...names: string[]): string[] =>
  ranked(
    names.map((name) => entry(name)),
    typed,
  ).flatMap((group) => group.entries.map(({ text }) => text));

describe('the command palette', () => {
  it('puts the whole name first, then how it begins, then words, then what contains it', () => {
    const names = ['sparc', 'lamps by arc', 'arc', 'arcade'];
    expect(texts('arc', ...names)).toEqual(['arc', 'arcade', 'lamps by arc', 'sparc']);
  });

  it('wants every word that is typed, in any order', () => {
    expect(texts('dead system', 'System: Dead letters', 'System: Health')).toEqual([
      'System: Dead letters',
    ]);
  });

  it.each([
    ['ELAN', 'Élan'],
    ['ångström', 'Angstrom'],
    ['日本', '日本のブランド'],
    ['c++ (new)', 'c++ (new) brand'],
    ['[a-z]', 'name [a-z]'],
    ['a/b-c', 'x a/b-c'],
  ])('finds %s in %s', (typed, text) => expect(score(text, typed)).toBeGreaterThan(0));

  it.each(['', '   '])('has everything for "%s"', (typed) =>
    expect(texts(typed, 'b', 'a')).toEqual(['b', 'a']),
  );

  it('has no match for other words', () => expect(ranked([entry('nike')], 'puma')).toEqual([]));

  it('says how many more there are', () => {
    const many = Array.from({ length: SHOWN_MAX + 3 }, (_, n) => entry(`brand ${n}`));
    const [group] = ranked(many, 'brand');
    expect(group?.entries).toHaveLength(SHOWN_MAX);
    expect(group?.more).toBe(3);
  });

  it('has groups in one order, and the search for any words', () => {
    const all = [entry('Search for “xyz”', 'Search'), entry('xyz page', 'Pages'), entry('xyz')];
    expect(ranked(all, 'xyz').map(({ title }) => title)).toEqual(['Brands', 'Pages', 'Search']);
    expect(ranked(all, 'other').map(({ title }) => title)).toEqual(['Search']);
  });
});

describe('titles of tabs', () => {
  it('begin with what is special about the view', () => {
    expect(titled('nike', 'Map')).toBe('nike · Map · Triptych');
    expect(titled('nike', '')).toBe('nike · Triptych');
    expect(titled(textOf(SYSTEM_TABS, 'nowhere'), 'System')).toBe('System · Triptych');
  });
});
