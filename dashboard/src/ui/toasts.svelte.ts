/** Short notices: what was done, what ended, what went wrong. */

import { tell } from '../api/client';

export interface Toast {
  id: number;
  tone: 'good' | 'bad' | 'plain';
  text: string;
  detail?: string;
  action?: { text: string; href?: string; run?: () => void };
}

const SHOWN_MS = 8_000;
const SHOWN_MAX = 4;

class Toasts {
  list = $state<Toast[]>([]);
  #next = 1;

  show(toast: Omit<Toast, 'id'>): number {
    const id = this.#next++;
    this.list = [...this.list, { ...toast, id }].slice(-SHOWN_MAX);
    // What went wrong stays until it is put away.
    if (toast.tone !== 'bad') setTimeout(() => this.close(id), SHOWN_MS);
    return id;
  }

  good(text: string, action?: Toast['action']): void {
    this.show({ tone: 'good', text, action });
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
