/** Search: by words, by an asset, by a picture. */

import { withQuery } from '../router.svelte';
import { API, ask } from './client';
import type { AssetShown } from './types';

export interface Match {
  similarity: number;
  score: number | null;
  asset: AssetShown;
}

export interface Found {
  items: Match[];
  model: string;
  exact: boolean;
  unindexed: number;
}

export interface Wanted {
  words?: string;
  asset?: string;
  picture?: Blob;
  brand?: string | null;
  limit: number;
}

export async function search({ words, asset, picture, brand, limit }: Wanted): Promise<Found> {
  const where = { brand, limit: String(limit) };
  const answer = picture
    ? await ask(withQuery(`${API}/search`, where), {
        method: 'POST',
        headers: { 'Content-Type': 'application/octet-stream' },
        body: picture,
      })
    : await ask(withQuery(`${API}/search`, { ...where, q: words, asset }));
  return (await answer.json()) as Found;
}

export async function similar(asset: string, limit: number): Promise<Found> {
  const answer = await ask(withQuery(`${API}/assets/${asset}/similar`, { limit: String(limit) }));
  return (await answer.json()) as Found;
}
