/** Checks before sending; the server checks again. */

import type { SourceTypeShown } from '../api/types';

/** Chosen for the brand's usual source. */
export const OWN = '';
const BRAND_MAX_CHARS = 100;

export function checkBrand(name: string): string | null {
  const given = name.trim();
  if (!given) return 'Give the brand a name.';
  if (given.length > BRAND_MAX_CHARS) return `At most ${BRAND_MAX_CHARS} characters.`;
  if (/[/\\]/.test(given) || given === '.' || given === '..') return 'Slashes are not allowed.';
  return null;
}

export function checkSource(scheme: string, place: string): string | null {
  const given = place.trim();
  if (scheme === OWN) return null;
  if (!given) return 'Enter its address.';
  if (/\s/.test(given) && /^https?:/.test(given)) return 'An address must not contain spaces.';
  return null;
}

export const sourceText = (scheme: string, place: string): string | null =>
  scheme === OWN ? null : `${scheme}:${place.trim()}`;

/** How sources are written: `catalog:https://…, feed:URL or manifest:PATH_OR_URL`. */
export const usage = (sources: SourceTypeShown[]): string => {
  const written = sources
    .filter(({ problem }) => problem === null)
    .map(({ scheme, place }) => `${scheme}:${place}`);
  const last = written.pop() ?? '';
  return written.length ? `${written.join(', ')} or ${last}` : last;
};
