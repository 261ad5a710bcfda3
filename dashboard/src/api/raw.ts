/** Bytes from the API: pictures and maps, which no JSON client reads. */

import { withQuery } from '../router.svelte';
import { session } from '../session.svelte';
import { API, ask } from './client';

/** As the server makes them. */
export const WIDTHS = [160, 320, 640, 1280] as const;

/** A width that is enough for so many CSS pixels on this screen. */
function widthFor(pixels: number): string {
  const wanted = pixels * Math.min(devicePixelRatio, 2);
  return String(WIDTHS.find((each) => each >= wanted) ?? WIDTHS[WIDTHS.length - 1]);
}

/** The address of a thumbnail wide enough for so many CSS pixels on this screen. */
export const thumbnailUrl = (asset: string, pixels: number, run?: string | null): string =>
  withQuery(`${API}/assets/${asset}/thumbnail`, { w: widthFor(pixels), run });

/** The same, of a picture that a run has acquired and not committed yet. */
export const arrivalUrl = (run: string, key: string, pixels: number): string =>
  withQuery(`${API}/runs/${run}/pictures/${key}/thumbnail`, { w: widthFor(pixels) });

export const contentUrl = (asset: string, run?: string | null): string =>
  withQuery(`${API}/assets/${asset}/content`, { run });

/** Fetch bytes as something that an element can show. Whoever takes it gives it back. */
export async function blobUrl(url: string, signal?: AbortSignal): Promise<string> {
  const answer = await ask(url, { signal });
  return URL.createObjectURL(await answer.blob());
}

/** A small picture of a URL that is not acquired: the server fetches it, as a run would. */
export async function previewUrl(url: string, signal: AbortSignal): Promise<string> {
  const answer = await ask(`${API}/sources/preview`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ url }),
    signal,
  });
  return URL.createObjectURL(await answer.blob());
}

/** An element's own requests carry no key. */
export const needsBlob = (): boolean => session.key !== null;

export async function download(url: string, name: string): Promise<void> {
  const blob = await blobUrl(url);
  const link = document.createElement('a');
  link.href = blob;
  link.download = name;
  link.click();
  URL.revokeObjectURL(blob);
}
