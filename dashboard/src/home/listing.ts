/** Which brands are shown, in which order. */

import type { BrandState } from '../live/protocol';
import { attention } from './attention';

export const ORDERS = {
  recent: 'Newest run',
  name: 'Name',
  assets: 'Most assets',
  failed: 'Most failures',
} as const;
export type Order = keyof typeof ORDERS;

export const STATES = {
  '': 'All',
  active: 'Running',
  attention: 'Need attention',
  stalled: 'Stalled',
  held: 'Held',
  committed: 'Committed',
  failed: 'Failed',
  cancelled: 'Cancelled',
  new: 'Never run',
} as const;

export const isRunning = (brand: BrandState): boolean => !!brand.latest && !brand.latest.over;

/** Its newest run is active, and nothing of it moves. */
export const isStalled = (brand: BrandState): boolean => !!brand.latest?.stalled;

export function arranged(
  brands: Iterable<BrandState>,
  { text, state, order }: { text: string; state: string; order: Order },
): BrandState[] {
  const wanted = text.trim().toLocaleLowerCase();
  return [...brands]
    .filter((brand) => !wanted || brand.name.toLocaleLowerCase().includes(wanted))
    .filter((brand) => !state || isIn(brand, state))
    .sort((a, b) => before(a, b, order) || a.name.localeCompare(b.name));
}

function isIn(brand: BrandState, state: string): boolean {
  if (state === 'active') return isRunning(brand);
  if (state === 'attention') return attention(brand) !== null;
  return state === 'stalled' ? isStalled(brand) : brand.state === state;
}

function before(a: BrandState, b: BrandState, order: Order): number {
  switch (order) {
    case 'assets':
      return b.assets - a.assets;
    case 'failed':
      return (b.latest?.failed ?? 0) - (a.latest?.failed ?? 0);
    case 'recent':
      // By when a run began, not by its last progress: cards would jump about all the time.
      return started(b) - started(a);
    default:
      return 0;
  }
}

const started = (brand: BrandState): number =>
  brand.latest ? Date.parse(brand.latest.created_at) : 0;
