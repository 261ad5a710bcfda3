/** Assets as galleries hold them: a hundred thousand of them have to fit. */

import type { AssetShown } from '../api/types';

export interface Picture {
  id: string;
  /** The last part of its URL, or its title: what it is called. */
  name: string;
  type: string;
  /** Its colours are light. */
  light: boolean;
  /** Width by height, where it is known. */
  ratio: number | null;
}

const LIGHT = 0.8;

export function toPicture(asset: AssetShown): Picture {
  const { width, height } = asset;
  return {
    id: asset.id,
    name: nameOf(asset),
    type: asset.media_type,
    light: brightness(asset.colours) > LIGHT,
    ratio: width && height ? width / height : null,
  };
}

export function nameOf(asset: Pick<AssetShown, 'url' | 'metadata'>): string {
  for (const name of ['title', 'alt', 'name']) {
    const told = asset.metadata[name];
    if (typeof told === 'string' && told.trim()) return told.trim();
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

/** From 0, black, to 1, white: the mean of the colours, by their shares. */
export function brightness(colours: readonly { hex: string; share: number }[]): number {
  let [sum, shares] = [0, 0];
  for (const { hex, share } of colours) {
    const rgb = parseInt(hex, 16);
    const luma = 0.299 * (rgb >> 16) + 0.587 * ((rgb >> 8) & 255) + 0.114 * (rgb & 255);
    sum += (luma / 255) * share;
    shares += share;
  }
  return shares ? sum / shares : 0;
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
