/** What the API calls facets and their values, in everyday words. */

import type { FacetsShown } from '../api/types';
import { plural } from '../format';

type Facet = FacetsShown['facets'][number];
export type Count = Facet['counts'][number];

const COLUMN = 'metadata.';

const TITLES: Record<string, string> = {
  media_type: 'Type',
  tag: 'Tags',
  cluster: 'Clusters',
  look: 'Kind',
  colour: 'Colour',
  size: 'Size',
  shape: 'Shape',
  duplicated: 'Duplicates',
  first_seen: 'First seen',
};

const VALUES: Record<string, Record<string, string>> = {
  media_type: {
    'image/jpeg': 'JPEG',
    'image/png': 'PNG',
    'image/webp': 'WebP',
    'image/avif': 'AVIF',
    'image/gif': 'GIF',
    'image/tiff': 'TIFF',
    'image/svg+xml': 'SVG',
    'application/pdf': 'PDF',
  },
  size: {
    icon: 'Icon, below 256 px',
    small: 'Small, below 640 px',
    medium: 'Medium, below 1280 px',
    large: 'Large, below 2560 px',
    huge: 'Huge, 2560 px and more',
  },
  shape: {
    panorama: 'Panorama',
    landscape: 'Landscape',
    square: 'Square',
    portrait: 'Portrait',
    tall: 'Tall',
  },
  look: {
    photograph: 'Photographs of scenes',
    packshot: 'Packshots',
    drawing: 'Drawings',
    logo: 'Logos',
  },
  duplicated: { true: 'Has duplicates', false: 'Has none' },
};

/** The order of values that have one of their own; others come most frequent first. */
const ORDER: Record<string, string[]> = {
  size: Object.keys(VALUES['size'] ?? {}),
  shape: Object.keys(VALUES['shape'] ?? {}),
};

/** The colours of their names, as a swatch shows them. */
export const SWATCHES: Record<string, string> = {
  black: '#1c1c1c',
  white: '#ffffff',
  grey: '#8c8c8c',
  red: '#d23b3b',
  orange: '#ee8a2c',
  brown: '#80552f',
  yellow: '#f0d02e',
  green: '#4a9b4f',
  teal: '#2b9a97',
  blue: '#3f6fd1',
  purple: '#8450b8',
  pink: '#e887b1',
};

export const column = (name: string): string | null =>
  name.startsWith(COLUMN) ? name.slice(COLUMN.length) : null;

export const facetOf = (name: string): string => COLUMN + name;

export const title = (name: string): string => column(name) ?? TITLES[name] ?? name;

export const word = (facet: Facet, { value, below }: Count): string => {
  if (below !== null) return `${value} to ${below}`;
  const given = VALUES[facet.name]?.[value];
  if (given) return given;
  return facet.name === 'colour' ? value[0]?.toUpperCase() + value.slice(1) : value;
};

export const inOrder = (facet: Facet): Count[] => {
  const order = ORDER[facet.name];
  if (!order) return facet.counts;
  return [...facet.counts].sort((a, b) => order.indexOf(a.value) - order.indexOf(b.value));
};

/** What a facet does not list, so that nothing is missing without a word. */
export function left(facet: Facet): string {
  const parts = [
    facet.more ? `${plural(facet.more, 'more value')}` : '',
    facet.without ? `${plural(facet.without, 'asset')} without` : '',
    facet.unlike ? `${plural(facet.unlike, 'value')} of another kind` : '',
  ];
  return parts.filter(Boolean).join(' · ');
}

/** Filters after a choice: what is chosen already is taken back. */
export function toggled(
  filters: Record<string, string>,
  query: Record<string, string>,
): Record<string, string | null> {
  const change: Record<string, string | null> = {};
  for (const [name, value] of Object.entries(query))
    change[name] =
      name === 'metadata'
        ? withColumn(filters['metadata'], value)
        : filters[name] === value
          ? null
          : value;
  return change;
}

/** Whether the filters have what a count's query says. */
export function chosen(filters: Record<string, string>, query: Record<string, string>): boolean {
  return Object.entries(query).every(([name, value]) => {
    if (name !== 'metadata') return filters[name] === value;
    const now = columns(filters['metadata']);
    return Object.entries(columns(value)).every(([key, wanted]) => same(now[key], wanted));
  });
}

/** The columns that are filtered by. */
export const filteredColumns = (filters: Record<string, string>): string[] =>
  Object.keys(columns(filters['metadata']));

function withColumn(now: string | undefined, value: string): string | null {
  const all = columns(now);
  for (const [key, wanted] of Object.entries(columns(value))) {
    if (same(all[key], wanted)) delete all[key];
    else all[key] = wanted;
  }
  return Object.keys(all).length ? JSON.stringify(all) : null;
}

function columns(text: string | undefined): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(text ?? '{}');
    return parsed && typeof parsed === 'object' && !Array.isArray(parsed)
      ? { ...(parsed as Record<string, unknown>) }
      : {};
  } catch {
    return {}; // The address was written by hand: the API says what is wrong with it.
  }
}

const same = (one: unknown, other: unknown): boolean =>
  JSON.stringify(one) === JSON.stringify(other);
