/** Assets as galleries hold them: a hundred thousand of them have to fit. */

import type { AssetShown } from '../api/types';

export interface Picture {
  id: string;
  /** The last part of its URL, or its title: what it is called. */
  name: string;
  type: string;
  /** Width by height, where it is known. */
  ratio: number | null;
}

export function toPicture(asset: AssetShown): Picture {
  const { width, height } = asset;
  return {
    id: asset.id,
    name: nameOf(asset),
    type: asset.media_type,
    ratio: width && height ? width / height : null,
  };
}

export function nameOf(asset: Pick<AssetShown, 'url' | 'metadata'>): string {
  for (const name of ['title', 'alt', 'name']) {
    const text = asset.metadata[name];
    if (typeof text === 'string' && text.trim()) return text.trim();
  }
  return lastPart(asset.url);
}

export function lastPart(url: string): string {
  const path = url.split(/[?#]/, 1)[0] ?? url;
  const part = path.split('/').findLast(Boolean) ?? url;
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The id of the asset of a brand that has this key, as the API writes it. */
export function assetId(brand: string, key: Uint8Array | string): string {
  const raw = typeof key === 'string' ? fromHex(key) : key;
  const name = new TextEncoder().encode(brand);
  let binary = '';
  for (const byte of raw) binary += String.fromCharCode(byte);
  for (const byte of name) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

function fromHex(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at++)
    bytes[at] = parseInt(text.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}
