/**
 * The pictures that an active run has acquired last. They are asked for when live status says that
 * more are done, and at most once a second; while it says nothing, nothing is asked.
 */

import { api, ApiError, unwrap } from '../api/client';
import type { components } from '../api/schema';

export type Arrival = components['schemas']['PictureShown'];

export const SHOWN_MAX = 24;
export const PAUSE_MS = 1_000;

type Ask = () => Promise<readonly Arrival[]>;

export class Arrivals {
  pictures = $state.raw<readonly Arrival[]>([]);
  readonly #ask: Ask;
  /** Of the state that the pictures were asked for at. */
  #done = 0;
  #wanted = 0;
  #asking = false;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(run: string, ask?: Ask) {
    this.#ask = ask ?? (() => newest(run));
  }

  /** Live status says that so many are done. */
  tell(done: number): void {
    this.#wanted = done;
    this.#next();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#wanted = this.#done;
  }

  #next(): void {
    if (this.#wanted === this.#done || this.#asking || this.#timer !== null) return;
    this.#asking = true;
    this.#done = this.#wanted;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#next();
    }, PAUSE_MS);
    void this.#renew();
  }

  async #renew(): Promise<void> {
    try {
      const found = await this.#ask();
      // None: it has committed in the meantime. What is shown stays until the page shows that.
      if (found.length) this.pictures = found;
    } catch (error) {
      // The server is away, which the page says elsewhere: the next state asks again.
      if (!(error instanceof ApiError)) throw error;
    } finally {
      this.#asking = false;
      this.#next();
    }
  }
}

async function newest(run: string): Promise<readonly Arrival[]> {
  const params = { path: { run }, query: { limit: SHOWN_MAX } };
  return (await unwrap(api.GET('/api/v1/runs/{run}/pictures', { params }))).items;
}
