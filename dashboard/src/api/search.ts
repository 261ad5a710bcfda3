/** Search: by words, by an asset, by a picture. */

import { withQuery } from '../router.svelte';
import { API, api, ask, unwrap } from './client';
import type { components } from './schema';

export type Found = components['schemas']['FoundShown'];
export type Match = components['schemas']['MatchShown'];

export interface Wanted {
  words?: string;
  asset?: string;
  picture?: Blob;
  brand?: string | null;
  limit: number;
}

export async function search({ words, asset, picture, brand, limit }: Wanted): Promise<Found> {
  const where = { limit, ...(brand ? { brand } : {}) };
  if (!picture) {
    const query = { ...where, ...(words ? { q: words } : { asset }) };
    return await unwrap(api.GET('/api/v1/search', { params: { query } }));
  }
  const answer = await ask(withQuery(`${API}/search`, { brand, limit: String(limit) }), {
    method: 'POST',
    headers: { 'Content-Type': 'application/octet-stream' },
    body: picture,
  });
  return (await answer.json()) as Found;
}

export const similar = (asset: string, limit: number): Promise<Found> =>
  unwrap(
    api.GET('/api/v1/assets/{asset}/similar', { params: { path: { asset }, query: { limit } } }),
  );
