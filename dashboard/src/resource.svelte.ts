/** What a view loads from the API: loading, loaded, or failed. */

import { untrack } from 'svelte';

export class Resource<T> {
  data = $state.raw<T | undefined>(undefined);
  error = $state.raw<unknown>(undefined);
  loading = $state(true);
  #asked = 0;
  readonly #ask: () => Promise<T>;

  constructor(ask: () => Promise<T>) {
    this.#ask = ask;
  }

  /** Load, also again; an older answer that arrives late is ignored. */
  load = async (): Promise<void> => {
    const asked = ++this.#asked;
    this.loading = true;
    try {
      // What asking reads is not what the view that asks depends on.
      const data = await untrack(() => this.#ask());
      if (asked !== this.#asked) return;
      this.data = data;
      this.error = undefined;
    } catch (error) {
      if (asked === this.#asked) this.error = error;
    } finally {
      if (asked === this.#asked) this.loading = false;
    }
  };
}
