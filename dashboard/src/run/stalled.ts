/** Why nothing of a run moves, as far as it is known, and what helps. */

import type { RunShown, WorkerShown } from '../api/types';
import { duration, plural } from '../format';

export interface Cause {
  /** One line, for a card. */
  brief: string;
  /** What is known. */
  text: string;
  /** A command that helps; null if none is known to. */
  command: string | null;
}

/** The most frequent cause is that no worker serves the phase that the run is in. */
export function causeOf(run: RunShown, workers: readonly WorkerShown[]): Cause {
  const phase = run.sealed ? 'acquire' : 'gather';
  const able = workers.filter(({ phases }) => phases.includes(phase));
  const alive = able.filter((worker) => worker.alive).length;
  if (alive)
    return {
      brief: `${plural(alive, 'worker')} alive`,
      text: `${plural(alive, 'worker')} of its phase ${alive === 1 ? 'is' : 'are'} alive. Their logs, or the dead letters, may tell more.`,
      command: null,
    };
  const silent = Math.min(...able.map(({ silent_s }) => silent_s));
  const since = able.length ? `for ${duration(silent)}` : 'in the last hour';
  return {
    brief: 'No worker',
    text: `No worker of the phase ${phase} has been seen ${since}. Start one:`,
    command: 'triptych worker',
  };
}
