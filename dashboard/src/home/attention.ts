/** Which brands need somebody. Only these are shown in the colour of alarm. */

import type { RunShown } from '../api/types';
import type { BrandState } from '../live/protocol';

/** Why a brand needs somebody, as its card says it; null if it does not. */
export function attention(brand: BrandState): string | null {
  const run = brand.latest;
  if (!run) return null;
  if (run.state === 'held') return 'Held: publish or discard it';
  if (run.state === 'failed') return brand.current_run ? 'The newest run failed' : 'Failed';
  if (run.stalled) return 'Stalled';
  if (run.ai_state === 'failed') return 'Committed, AI failed';
  return null;
}

/**
 * The failed items of a run are news while they are why it failed. Of a run that has committed they
 * are within what is tolerated.
 */
export const failedIsNews = (run: RunShown): boolean => run.state === 'failed' && run.failed > 0;
