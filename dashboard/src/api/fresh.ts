/**
 * When a read is asked of Postgres. Live status tells of a commit at once; MongoDB, if it answers the
 * API's reads, shows it some seconds later, and a page that has read too early would stay behind.
 */

const READS =
  /^\/api\/v1\/(?:brands(?:\/[^/]+(?:\/(?:assets|facets|insights|map|snapshots(?:\/[^/]+)?))?)?|assets\/[^/]+|facets)$/;
/** How long after a change MongoDB may not have it, and the server may not say so yet. */
export const SETTLED_MS = 10_000;
/** The header of an answer that does not show all. */
export const LAG = 'Snapshot-Lag';

let changed = -Infinity;

/** Note that a brand has another snapshot, or its AI phase another state. */
export function noteChange(now = performance.now()): void {
  changed = now;
}

export const changedLately = (now = performance.now()): boolean => now - changed < SETTLED_MS;

/** Return a read as a request to Postgres; null for what is one already. */
export function asFresh(request: Request): Request | null {
  const url = new URL(request.url);
  if (request.method !== 'GET' || !READS.test(url.pathname) || url.searchParams.has('fresh'))
    return null;
  url.searchParams.set('fresh', 'true');
  return new Request(url, request);
}
