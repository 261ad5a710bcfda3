/** Where a run is, as the three panels show it. */

import type { RunShown } from './api/types';
import { count, percent, plural } from './format';

export type Tone = 'empty' | 'active' | 'full' | 'failed' | 'paused';

export interface Panel {
  tone: Tone;
  /** Share that is filled, 0 to 1. */
  share: number;
  /** Share of the whole that failed, on top of what is filled. */
  failed: number;
  says: string;
}

export interface Panels {
  gather: Panel;
  acquire: Panel;
  ai: Panel;
}

const EMPTY: Panel = { tone: 'empty', share: 0, failed: 0, says: 'not started' };

const FULL: Panel = { tone: 'full', share: 1, failed: 0, says: '' };

/** What the gather phase of a restore, which has no URLs, did. */
export const restoring = (run: RunShown): string =>
  run.sealed ? 'The objects of the snapshot are there' : 'Looks for the objects of the snapshot';

export function panels(run: RunShown | null): Panels {
  if (!run) return { gather: EMPTY, acquire: EMPTY, ai: EMPTY };
  return { gather: gather(run), acquire: acquire(run), ai: ai(run) };
}

function gather(run: RunShown): Panel {
  const listed = plural(run.expected, 'URL');
  if (run.restores) return { ...(run.sealed ? FULL : EMPTY), says: restoring(run) };
  if (run.sealed) return { tone: 'full', share: 1, failed: 0, says: `${listed} listed` };
  // How many will come is not known: it nears the top and never gets there.
  const share = run.expected / (run.expected + 200);
  const halted = run.state !== 'active';
  const tone = halted ? 'failed' : run.paused ? 'paused' : 'active';
  return { tone, share, failed: 0, says: `${listed} so far` };
}

function acquire(run: RunShown): Panel {
  const whole = Math.max(run.expected, 1);
  const shares = { share: run.done / whole, failed: run.failed / whole };
  const failures = run.failed ? `, ${count(run.failed)} failed` : '';
  const says = `${count(run.settled)} of ${count(run.expected)} processed${failures}`;
  if (run.state === 'committed') {
    // A run of nothing committed nothing, and is complete all the same.
    const full = run.expected === 0 ? { share: 1, failed: 0 } : shares;
    return { tone: 'full', ...full, says };
  }
  if (run.state !== 'active') return { tone: 'failed', ...shares, says };
  if (run.expected === 0) return EMPTY;
  return { tone: run.paused ? 'paused' : 'active', ...shares, says };
}

function ai(run: RunShown): Panel {
  switch (run.ai_state) {
    case 'queued':
      return { tone: 'active', share: 0.04, failed: 0, says: 'queued' };
    case 'running': {
      const share = aiShare(run);
      return { tone: 'active', share, failed: 0, says: `${percent(share)} done` };
    }
    case 'done':
      return { tone: 'full', share: 1, failed: 0, says: 'done' };
    case 'superseded':
      return { tone: 'empty', share: 0, failed: 0, says: 'replaced by a newer commit' };
    case 'failed':
      return { tone: 'failed', share: 0, failed: 1, says: run.ai_reason ?? 'failed' };
    default:
      return EMPTY;
  }
}

export interface AiProgress {
  step?: string;
  number?: number;
  steps?: number;
  share?: number;
}

export const aiProgress = (run: RunShown): AiProgress => run.ai_progress as AiProgress;

function aiShare(run: RunShown): number {
  const { number = 1, steps = 1, share = 0 } = aiProgress(run);
  return Math.min(1, Math.max(0.04, (number - 1 + share) / Math.max(steps, 1)));
}

/** One line of where a run is. */
export function standing(run: RunShown): string {
  if (run.state === 'cancelled') return 'Cancelled';
  if (run.state === 'failed') return 'Failed';
  if (run.state === 'held') return 'Held';
  if (run.paused && run.state === 'active') return 'Paused';
  if (run.stalled) return 'Stalled';
  switch (run.phase) {
    case 'gather':
      return run.restores ? 'Restoring' : 'Gathering';
    case 'acquire':
      return 'Acquiring';
    case 'commit':
      return 'Committing';
    case 'ai':
      return run.ai_state === 'queued' ? 'Waiting for AI' : 'AI running';
    default:
      return run.ai_state === 'failed' ? 'Committed, AI failed' : 'Committed';
  }
}
