/** Checks before sending; the server checks again. */

export type SourceKind = 'own' | 'manifest' | 'catalog';
const BRAND_MAX_CHARS = 100;

export function checkBrand(name: string): string | null {
  const given = name.trim();
  if (!given) return 'Give the brand a name.';
  if (given.length > BRAND_MAX_CHARS) return `At most ${BRAND_MAX_CHARS} characters.`;
  if (/[/\\]/.test(given) || given === '.' || given === '..') return 'Slashes are not allowed.';
  return null;
}

export function checkSource(kind: SourceKind, place: string): string | null {
  const given = place.trim();
  if (kind === 'own') return null;
  if (!given) return 'Say where it is.';
  if (/\s/.test(given) && /^https?:/.test(given)) return 'An address has no blanks.';
  if (kind === 'catalog' && !/^https?:\/\/[^/]+/.test(given))
    return 'A service has an address that begins with https:// or http://.';
  return null;
}

export const sourceText = (kind: SourceKind, place: string): string | null =>
  kind === 'own' ? null : `${kind}:${place.trim()}`;
