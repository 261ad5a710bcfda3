/** Text that somebody pasted: addresses, the cells of a spreadsheet, a list, or one address. */

import { count, plural } from '../format';

/** URLs of one request, as the server takes them. */
export const URLS_MAX = 1_000;

export type Pasted =
  | { kind: 'nothing' }
  | { kind: 'address'; text: string }
  /** `lines[n]` is the line of `urls[n]`, from 1. */
  | { kind: 'urls'; urls: string[]; lines: number[]; says: string; notes: string[] }
  /** To be uploaded as a file. */
  | { kind: 'list'; name: string; text: string; says: string; notes: string[] };

const ADDRESS = /^\s*(https?:)?\/\/\S/i;
/** Between addresses in one line: what follows begins with a scheme. */
const BETWEEN = /[\s,;|]+(?=https?:\/\/)/i;

/** Say what a text is; nothing of it is left out without a note. */
export function readPasted(text: string): Pasted {
  const lines = text.split(/\r\n?|\n/);
  const filled = lines.flatMap((line, at) => (line.trim() ? [{ line, number: at + 1 }] : []));
  const [first] = filled;
  if (!first) return { kind: 'nothing' };
  if (filled.some(({ line }) => line.includes('\t'))) return cells(text, filled.length, first.line);
  const body = ADDRESS.test(first.line) ? filled : filled.slice(1);
  const addresses = body.filter(({ line }) => ADDRESS.test(line)).length;
  if (filled.length === 1 && first.line.trim().split(BETWEEN).length === 1) {
    const start = first.line.trim()[0]!;
    if (start !== '{' && start !== '[' && start !== '<')
      return { kind: 'address', text: first.line.trim() };
  }
  const heading = filled.length > body.length ? first.line.trim() : null;
  // A heading of several words separated, or cells behind an address, are those of a list.
  const isTable = heading !== null && /[,;|]/.test(heading);
  if (
    !isTable &&
    body.length &&
    addresses * 2 >= body.length &&
    body.every(({ line }) => isPlain(line))
  )
    return addressesOf(body, heading, text);
  return list(text, filled.length, first.line.trim());
}

/** Whether a line is words without an address, or addresses with nothing behind them. */
const isPlain = (line: string): boolean =>
  line
    .trim()
    .split(BETWEEN)
    .every((part) => !ADDRESS.test(part) || !/[\s;|]/.test(bare(part)));

const bare = (part: string): string => part.replace(/[\s,;|]+$/, '');

function addressesOf(
  body: readonly { line: string; number: number }[],
  heading: string | null,
  text: string,
): Pasted {
  const all = body.flatMap(({ line, number }) =>
    line
      .trim()
      .split(BETWEEN)
      .map((part) => ({ url: bare(part), number })),
  );
  const notes = heading === null ? [] : [`The first line, “${heading}”, is taken for a heading.`];
  const says = plural(all.length, 'address', 'addresses');
  if (all.length > URLS_MAX) {
    const note = `More than ${count(URLS_MAX)}: they are uploaded as a list.`;
    const written = heading === null ? text : all.map(({ url }) => url).join('\n');
    return { kind: 'list', name: 'pasted.txt', text: written, says, notes: [...notes, note] };
  }
  const urls = all.map(({ url }) => url);
  return { kind: 'urls', urls, lines: all.map(({ number }) => number), says, notes };
}

function cells(text: string, rows: number, first: string): Pasted {
  const row = first.split('\t');
  if (!row.some((cell) => ADDRESS.test(cell))) {
    const says = `Cells of a spreadsheet: ${size(rows - 1, row.length)}`;
    return { kind: 'list', name: 'pasted.tsv', text, says, notes: [] };
  }
  // The first column with an address is the pictures'; a second one is likely a page's.
  const at = row.findIndex((cell) => ADDRESS.test(cell));
  const names = row.map((_, column) => (column === at ? 'url' : `column ${column + 1}`));
  return {
    kind: 'list',
    name: 'pasted.tsv',
    text: `${names.join('\t')}\n${text}`,
    says: `Cells of a spreadsheet: ${size(rows, row.length)}`,
    notes: ['Its first row is no heading, so the columns are numbered.'],
  };
}

function list(text: string, lines: number, first: string): Pasted {
  const ending = /^[[{]/.test(first) ? 'json' : first.startsWith('<') ? 'xml' : 'csv';
  const kind = { json: 'JSON', xml: 'A feed or sitemap', csv: 'A list' }[ending];
  const says = `${kind}, ${plural(lines, 'line')}`;
  return { kind: 'list', name: `pasted.${ending}`, text, says, notes: [] };
}

const size = (rows: number, columns: number): string =>
  `${plural(rows, 'row')}, ${plural(columns, 'column')}`;

const GIVEN = /^urls\[(\d+)\]$/;

/** A place of a check, as who pasted it knows it: `line 7` for `urls[4]`. */
export function placeOf(place: string, lines: readonly number[] | null): string {
  const found = GIVEN.exec(place);
  const line = found && lines?.[Number(found[1])];
  return line ? `line ${line}` : place;
}
