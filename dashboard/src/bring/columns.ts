/** Which column of a list is what, and how a source says so: in its fragment. */

import type { SourceCheck } from '../api/types';

export type Use = 'picture' | 'brand' | 'key' | 'kept';

/** The words of each use, in the order in which they are offered. */
export const USES: Record<Use, string> = {
  picture: 'Address of a picture',
  brand: 'Brand',
  key: 'Number or name of the picture',
  kept: 'Kept as information',
};

export interface Mapping {
  /** Columns with addresses; empty: found by their names. */
  urls: readonly string[];
  /** Null: found by its name. Empty: no column has the brand. */
  brand: string | null;
  /** Null: a picture is known by its address. */
  key: string | null;
}

/** Everything is found by its name. */
export const FOUND: Mapping = { urls: [], brand: null, key: null };

const [URLS, BRAND, KEY] = ['url-column', 'brand-column', 'key'] as const;

/** Source types whose columns can be chosen. */
export const hasColumns = (source: string): boolean => /^(manifest|upload):/.test(source);

/** Write a choice of columns behind a source; what else is written there stays. */
export function withColumns(source: string, { urls, brand, key }: Mapping): string {
  const { place, options } = split(source);
  for (const name of urls) options.append(URLS, name);
  if (brand !== null) options.set(BRAND, brand);
  if (key !== null) options.set(KEY, key);
  const written = options.toString();
  return written ? `${place}#${written}` : place;
}

/** The choice that is written behind a source already. */
export function columnsOf(source: string): Mapping {
  const fragment = source.slice(source.indexOf('#') + 1);
  if (!source.includes('#') || !fragment.includes('=')) return FOUND;
  const given = new URLSearchParams(fragment);
  return { urls: given.getAll(URLS), brand: given.get(BRAND), key: given.get(KEY) };
}

function split(source: string): { place: string; options: URLSearchParams } {
  const at = source.indexOf('#');
  const fragment = at < 0 ? '' : source.slice(at + 1);
  // Without `=` it belongs to the place.
  if (!fragment.includes('=')) return { place: source, options: new URLSearchParams() };
  const options = new URLSearchParams(fragment);
  for (const name of [URLS, BRAND, KEY]) options.delete(name);
  return { place: source.slice(0, at), options };
}

/** What a column is used as. */
export function useOf(column: string, mapping: Mapping): Use {
  if (mapping.urls.includes(column)) return 'picture';
  if (mapping.brand === column) return 'brand';
  return mapping.key === column ? 'key' : 'kept';
}

/** The choice with one column used in another way; brand and key are one column each. */
export function withUse(column: string, use: Use, mapping: Mapping): Mapping {
  const urls = mapping.urls.filter((name) => name !== column);
  const brand = mapping.brand === column ? '' : (mapping.brand ?? '');
  const key = mapping.key === column ? null : mapping.key;
  if (use === 'picture') return { urls: [...urls, column], brand, key };
  if (use === 'brand') return { urls, brand: column, key };
  return { urls, brand, key: use === 'key' ? column : key };
}

/** The choice that a check has found, in full. */
export function foundMapping(found: SourceCheck, given: Mapping): Mapping {
  const list = found.lists[0];
  return { urls: list?.url_columns ?? [], brand: list?.brand_column ?? '', key: given.key };
}

/** The column whose values are addresses; of pictures, if there are several. Null: none. */
export function likely(
  columns: readonly string[],
  samples: Readonly<Record<string, readonly string[]>>,
): string | null {
  const addresses = columns.filter((column) => {
    const values = samples[column] ?? [];
    return values.length > 0 && values.every((text) => /^(https?:)?\/\/\S+$/i.test(text));
  });
  const pictures = addresses.filter((column) =>
    samples[column]!.some((text) => /\.(jpe?g|png|gif|webp|avif|svg)\b/i.test(text)),
  );
  return pictures[0] ?? addresses[0] ?? null;
}
