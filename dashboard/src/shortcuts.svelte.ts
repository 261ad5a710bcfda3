/** Keys. A single key may be in the way of speech input, so they can be turned off (WCAG 2.1.4). */

import { untrack } from 'svelte';
import { MAIN_PAGES } from './places';
import { router } from './router.svelte';
import { session } from './session.svelte';

export interface Shortcut {
  keys: string;
  does: string;
  /** Absent where the view itself handles the key: it is only listed. */
  run?: () => void;
}

const KEPT = 'triptych.shortcuts';
/** How long after `g` its second key may come. */
const SECOND_MS = 1_200;

class Shortcuts {
  on = $state(localStorage.getItem(KEPT) !== 'off');
  help = $state(false);
  palette = $state(false);
  starting = $state(false);
  /** Those of the view that is open, the newest last. */
  ofView = $state.raw<Shortcut[]>([]);
  #first = 0;

  readonly everywhere: Shortcut[] = [
    { keys: 'Ctrl+K', does: 'Go to a brand, a page or an action' },
    { keys: '?', does: 'Show this list', run: () => (this.help = true) },
    ...MAIN_PAGES.map(({ key, text, href }) => ({
      keys: `g ${key}`,
      does: `Go to ${text.toLowerCase()}`,
      run: () => router.go(href),
    })),
    { keys: 'n', does: 'Start a brand', run: () => (this.starting = true) },
    { keys: '/', does: 'Go to the filter or search field', run: focusField },
  ];

  toggle(on: boolean): void {
    this.on = on;
    if (on) localStorage.removeItem(KEPT);
    else localStorage.setItem(KEPT, 'off');
  }

  /** Register keys while a view is open; call the returned function when it closes. */
  register(list: Shortcut[]): () => void {
    const others = (): Shortcut[] =>
      untrack(() => this.ofView).filter((had) => !list.includes(had));
    this.ofView = [...others(), ...list];
    return () => (this.ofView = others());
  }

  press = (event: KeyboardEvent): void => {
    // With a modifier it is in the way of nothing: also while single keys are off, and in fields.
    if (isPaletteKey(event) && session.identity && !document.querySelector('dialog[open]')) {
      event.preventDefault();
      this.palette = true;
      return;
    }
    if (!this.on || event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey)
      return;
    const place = event.target as HTMLElement;
    if (place.closest('input, textarea, select, [contenteditable], dialog')) return;
    const pair = Date.now() - this.#first < SECOND_MS ? `g ${event.key}` : event.key;
    this.#first = event.key === 'g' ? Date.now() : 0;
    const found = [...this.everywhere, ...this.ofView].findLast(({ keys }) => keys === pair);
    if (!found?.run) return;
    event.preventDefault();
    this.#first = 0;
    found.run();
  };
}

const isPaletteKey = (event: KeyboardEvent): boolean =>
  event.key.toLowerCase() === 'k' &&
  (event.metaKey || event.ctrlKey) &&
  !event.shiftKey &&
  !event.altKey;

function focusField(): void {
  const field = document.querySelector<HTMLInputElement>('[data-slash]');
  if (field) field.focus();
  else router.go('/search');
}

export const shortcuts = new Shortcuts();
