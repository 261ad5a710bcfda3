/** Loads a brand's assets page by page, as far as the gallery has been scrolled. */

import { api, unwrap } from '../api/client';
import type { operations } from '../api/schema';
import { type Picture, toPicture } from './pictures';

export type Filters = Omit<
  NonNullable<operations['list_assets']['parameters']['query']>,
  'limit' | 'cursor'
>;

const FIRST = 100;
const PAGE = 500;

export class AssetPager {
  pictures = $state.raw<Picture[]>([]);
  error = $state.raw<unknown>(undefined);
  done = $state(false);
  loading = $state(false);
  /** The snapshot that the pages are of. */
  run = $state<string | null>(null);
  #cursor: string | null = null;
  #wanted = 0;
  #stopped = false;
  readonly #brand: string;
  readonly #filters: Filters;

  constructor(brand: string, filters: Filters) {
    this.#brand = brand;
    this.#filters = filters;
  }

  /** Load until this many are there, or all. */
  async load(count: number): Promise<void> {
    this.#wanted = Math.max(this.#wanted, count);
    if (this.loading || this.error) return;
    this.loading = true;
    try {
      while (!this.done && !this.#stopped && this.pictures.length < this.#wanted)
        await this.#page();
    } catch (error) {
      if (!this.#stopped) this.error = error;
    } finally {
      this.loading = false;
    }
  }

  retry(): void {
    this.error = undefined;
    void this.load(this.#wanted);
  }

  stop(): void {
    this.#stopped = true;
  }

  async #page(): Promise<void> {
    const limit = this.#cursor ? PAGE : FIRST;
    const query = { ...this.#filters, limit, ...(this.#cursor ? { cursor: this.#cursor } : {}) };
    const page = await unwrap(
      api.GET('/api/v1/brands/{brand}/assets', { params: { path: { brand: this.#brand }, query } }),
    );
    if (this.#stopped) return;
    this.run ??= page.items[0]?.run ?? null;
    this.pictures = [...this.pictures, ...page.items.map(toPicture)];
    this.#cursor = page.next;
    this.done = page.next === null;
  }
}
