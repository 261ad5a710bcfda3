/** An address that somebody pasted: which kind of source it is, as far as it shows. */

import type { SourceTypeShown } from '../api/types';

/** The kind of an address that is one picture's; no source type has this name. */
export const PICTURE = 'picture';

export interface Guess {
  /** Of a source type that is installed, or `PICTURE`. */
  scheme: string;
  /** As it is written behind the scheme. */
  place: string;
  /** What it was guessed by, as the end of "because …". */
  because: string;
}

const PICTURES = /\.(jpe?g|png|gif|webp|avif|svg|tiff?|bmp|heic|jxl)$/i;
const LISTS = /\.(csv|tsv|txt|xlsx?|xlsm|ods|jsonl?|ndjson|parquet|zip|gz|zst)$/i;
const HOST = /^[\p{L}\d-]+(\.[\p{L}\d-]+)+(:\d+)?(\/\S*)?$/u;
const PATH = /^(\/|\.{1,2}\/|[a-z]:[\\/]|file:\/\/)/i;

/**
 * Guess what an address is; null if it does not look like one. Only installed types that work are
 * proposed.
 */
export function guess(text: string, types: readonly SourceTypeShown[]): Guess | null {
  const given = text.trim();
  const works = new Set(types.filter((type) => type.problem === null).map((type) => type.scheme));
  const named = /^([a-z][a-z0-9+.-]*):(.+)$/is.exec(given);
  const scheme = named?.[1]?.toLowerCase() ?? '';
  if (named && works.has(scheme))
    return { scheme, place: named[2]!, because: `it begins with ${scheme}:` };
  const found = /^https?:\/\//i.test(given)
    ? ofUrl(given)
    : /^(s3|gs|az|abfss?):\/\//i.test(given)
      ? ofPlace(given, 'bucket', 'it is a bucket of an object store')
      : PATH.test(given)
        ? ofPlace(given, 'folder', 'it is a path on the server')
        : HOST.test(given)
          ? ofUrl(`https://${given}`)
          : null;
  return found && (found.scheme === PICTURE || works.has(found.scheme)) ? found : fallback(found);

  /** A type that is not installed is no proposal; the list is, which reads most addresses. */
  function fallback(other: Guess | null): Guess | null {
    if (!other || !works.has('manifest')) return null;
    return { scheme: 'manifest', place: other.place, because: 'nothing else fits' };
  }
}

function ofPlace(given: string, otherwise: string, because: string): Guess {
  const path = given.split(/[?#]/)[0]!;
  if (LISTS.test(path) || path.includes('{brand}'))
    return { scheme: 'manifest', place: given, because: 'its name is a list’s' };
  return { scheme: otherwise, place: given, because };
}

function ofUrl(given: string): Guess {
  const url = URL.canParse(given) ? new URL(given) : null;
  if (!url) return { scheme: 'manifest', place: given, because: 'nothing else fits' };
  const path = url.pathname.toLowerCase();
  const last = path.slice(path.lastIndexOf('/') + 1);
  const is = (scheme: string, because: string, place = given): Guess => ({
    scheme,
    place,
    because,
  });
  if (PICTURES.test(path)) return is(PICTURE, 'its name is a picture’s');
  if (/sitemap/.test(last) || last === 'robots.txt') return is('sitemap', `it is called ${last}`);
  if (url.hostname.endsWith('.myshopify.com') || last === 'products.json')
    return is('shopify', 'it is a Shopify shop’s', url.origin);
  if (LISTS.test(path)) return is('manifest', 'its name is a list’s');
  if (/\.(xml|rss|atom|rdf)$/.test(last) || /(^|[-_./])(feed|rss|atom)s?([-_./]|$)/.test(path))
    return is('feed', 'its name is a feed’s');
  return is('page', 'it is a page of a site');
}

/** The source that a kind and a place make. */
export const sourceText = (scheme: string, place: string): string => `${scheme}:${place.trim()}`;

/** How sources are written: `catalog:https://…, feed:URL or manifest:PATH_OR_URL`. */
export function usage(sources: readonly SourceTypeShown[]): string {
  const written = sources
    .filter(({ problem }) => problem === null)
    .map(({ scheme, place }) => `${scheme}:${place}`);
  const last = written.pop() ?? '';
  return written.length ? `${written.join(', ')} or ${last}` : last;
}
