/** Which entries of the command palette match what is typed, the best first. */

export interface Entry {
  /** Also what tells two entries of one text from each other. */
  id: string;
  group: 'Brands' | 'Pages' | 'Actions' | 'Search';
  text: string;
  /** Smaller, behind it: a state, or the keys that do the same. */
  hint?: string;
  run: () => void;
}

/** Entries of a group that are shown; how many more there are is said. */
export const SHOWN_MAX = 7;

const EXACT = 4;
const BEGINS = 3;
const WORD_BEGINS = 2;
const CONTAINS = 1;

/**
 * How well a text matches: 0 for not at all.
 *
 * Every word that is typed must be found; the weakest of them counts.
 */
export function score(text: string, typed: string): number {
  const where = folded(text);
  const words = folded(typed).split(/\s+/).filter(Boolean);
  if (words.length === 0) return CONTAINS;
  if (where === words.join(' ')) return EXACT;
  return Math.min(...words.map((word) => scoreOfWord(where, word)));
}

function scoreOfWord(text: string, word: string): number {
  if (text.startsWith(word)) return BEGINS;
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    if (!/[\p{L}\p{N}]/u.test(text[at - 1] ?? ' ')) return WORD_BEGINS;
  }
  return text.includes(word) ? CONTAINS : 0;
}

/** Upper case and accents make no difference. */
const folded = (text: string): string =>
  text.normalize('NFKD').replace(/\p{M}/gu, '').toLocaleLowerCase().trim();

export interface Group {
  title: Entry['group'];
  entries: Entry[];
  /** Matches that are not shown. */
  more: number;
}

/** Return what matches, by group; within a group the best first, then in the order given. */
export function ranked(entries: readonly Entry[], typed: string): Group[] {
  const groups: Group[] = [];
  for (const title of ['Brands', 'Pages', 'Actions', 'Search'] as const) {
    const found = entries
      .filter((entry) => entry.group === title)
      // The search is for whatever is typed.
      .map((entry) => ({ entry, score: title === 'Search' ? 1 : score(entry.text, typed) }))
      .filter((each) => each.score > 0)
      .sort((a, b) => b.score - a.score)
      .map((each) => each.entry);
    if (found.length === 0) continue;
    const shown = found.slice(0, SHOWN_MAX);
    groups.push({ title, entries: shown, more: found.length - shown.length });
  }
  return groups;
}
