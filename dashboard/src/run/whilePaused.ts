/** How long it is true that a run is paused. */

import type { RunShown } from '../api/types';

/** True until a run that was seen paused goes on, or ends. */
export function whilePaused(state: () => RunShown | undefined): () => boolean {
  let seen = false;
  return () => {
    const now = state();
    if (!now) return true;
    seen ||= now.paused;
    // Before its pause is seen, states may arrive that are older than it.
    return now.state === 'active' && (now.paused || !seen);
  };
}
