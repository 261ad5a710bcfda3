/** The signed-in identity: its key, kept until this tab is closed, and what it may do. */

import type { IdentityShown } from './api/types';

const KEPT = 'triptych.key';

class Session {
  /** `trk_…`, or null where the server asks for none. Never stored beyond the tab. */
  key = $state<string | null>(sessionStorage.getItem(KEPT));
  identity = $state<IdentityShown | null>(null);
  /** The server wants a key, or another one. */
  refused = $state<string | null>(null);
  /** The session at the load balancer has ended; reloading the page leads to its sign-in. */
  elsewhere = $state(false);
  operator = $derived(this.identity?.scope === 'operator');

  signIn(key: string): void {
    this.key = key;
    this.refused = null;
    sessionStorage.setItem(KEPT, key);
  }

  refuse(why: string, { elsewhere = false } = {}): void {
    this.refused = why;
    this.elsewhere = elsewhere;
    this.identity = null;
  }

  signOut(): void {
    this.key = null;
    sessionStorage.removeItem(KEPT);
    this.refuse('You signed out.');
  }
}

export const session = new Session();
