/**
 * The pictures that show brands. The list of brands has them; live status does not, so a brand's are
 * asked for once more when it has another snapshot, or when the AI phase has looked at it.
 */

import { SvelteMap } from 'svelte/reactivity';
import { api, ApiError, unwrap } from '../api/client';
import type { BrandShown } from '../api/types';
import type { BrandState } from '../live/protocol';

const AT_ONCE = 3;

interface Known {
  run: string | null;
  /** The AI phase had looked at that snapshot. */
  seen: boolean;
  ids: readonly string[];
}

type Ask = (brand: string) => Promise<BrandShown>;
type Shown = Pick<BrandState, 'name' | 'current_run' | 'latest'>;

const ask: Ask = (brand) =>
  unwrap(api.GET('/api/v1/brands/{brand}', { params: { path: { brand } } }));

export class Covers {
  readonly #known = new SvelteMap<string, Known>();
  readonly #asking = new Set<string>();
  readonly #waiting: string[] = [];
  readonly #ask: Ask;

  constructor(how: Ask = ask) {
    this.#ask = how;
  }

  /** Asset ids; none while they are not known. */
  of(brand: string): readonly string[] {
    return this.#known.get(brand)?.ids ?? [];
  }

  /** Take what the API says of a brand. */
  put(brand: BrandShown): void {
    const known = this.#known.get(brand.name);
    const seen = seenBy(brand) ?? (known?.run === brand.current_run && known.seen);
    this.#known.set(brand.name, { run: brand.current_run, seen, ids: brand.covers });
  }

  /** Ask for the covers of brands that may have others by now. */
  keep(brands: Iterable<Shown>): void {
    for (const brand of brands) {
      if (!this.#isStale(brand) || this.#asking.has(brand.name)) continue;
      this.#asking.add(brand.name);
      this.#waiting.push(brand.name);
    }
    this.#next();
  }

  #isStale(brand: Shown): boolean {
    const known = this.#known.get(brand.name);
    if (brand.current_run !== (known?.run ?? null)) return true;
    return known !== undefined && seenBy(brand) === true && !known.seen;
  }

  #next(): void {
    while (this.#asking.size - this.#waiting.length < AT_ONCE) {
      const brand = this.#waiting.shift();
      if (brand === undefined) return;
      void this.#renew(brand);
    }
  }

  async #renew(brand: string): Promise<void> {
    try {
      this.put(await this.#ask(brand));
    } catch (error) {
      // It was deleted, or the server is away, which the page says elsewhere: the next change asks.
      if (!(error instanceof ApiError)) throw error;
    } finally {
      this.#asking.delete(brand);
      this.#next();
    }
  }
}

/** Whether the AI phase has looked at a brand's snapshot; null if its newest run does not say. */
function seenBy(brand: Shown): boolean | null {
  if (brand.latest?.id !== brand.current_run) return null;
  return brand.latest?.ai_state === 'done';
}
