/** Short notices: what was done, what ended, what went wrong. */

import { tell } from '../api/client';

export interface Toast {
  id: number;
  tone: 'good' | 'bad' | 'plain';
  text: string;
  detail?: string;
  action?: { text: string; href?: string; run?: () => void };
  /** What it is about: a newer toast about the same replaces it. */
  about?: string;
  /** Whether it is still true; reads live state. One that is not is closed. */
  holds?: () => boolean;
}

const SHOWN_MS = 8_000;
const SHOWN_MAX = 4;

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  show(toast: Omit<Toast, 'id'>): number {
    const id = this.#next++;
    const others = this.list.filter(({ about }) => about === undefined || about !== toast.about);
    this.list = [...others, { ...toast, id }].slice(-SHOWN_MAX);
    // What went wrong stays until it is put away.
    if (toast.tone !== 'bad') setTimeout(() => this.close(id), SHOWN_MS);
    return id;
  }

  good(text: string, action?: Toast['action'], more: Pick<Toast, 'about' | 'holds'> = {}): void {
    this.show({ tone: 'good', text, action, ...more });
  }

  /** Close those that are no longer true. */
  check(): void {
    const untrue = this.list.filter(({ holds }) => holds && !holds());
    for (const { id } of untrue) this.close(id);
  }

  /** Close what is said about something. */
  closeAbout(about: string): void {
    this.list = this.list.filter((toast) => toast.about !== about);
  }

  failed(what: string, error: unknown): void {
    const { message, remedy } = tell(error);
    this.show({ tone: 'bad', text: `${what}: ${message}`, detail: remedy });
  }

  close(id: number): void {
    this.list = this.list.filter((toast) => toast.id !== id);
  }
}

export const toasts = new Toasts();
