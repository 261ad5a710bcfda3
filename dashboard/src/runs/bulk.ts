/** One action on many runs: for which it is, what is lost by it, and what became of each. */

import { api, idempotencyHeader, unwrap } from '../api/client';
import type { BulkOutcome, RunShown } from '../api/types';
import { count, plural } from '../format';

export type BulkAction = 'pause' | 'resume' | 'cancel' | 'redrive' | 'publish' | 'discard';

/** Runs of one request. */
export const REQUEST_MAX = 100;
/** Runs that can be selected. */
export const SELECTED_MAX = 1_000;

interface Does {
  /** On the button. */
  text: string;
  /** What is done to runs, after "2 runs are …". */
  done: string;
  applies: (run: RunShown) => boolean;
  /** What it does, and what is lost. */
  means: (runs: readonly RunShown[]) => string;
}

const isActive = (run: RunShown): boolean => run.state === 'active';
const total = (runs: readonly RunShown[], of: (run: RunShown) => number): number =>
  runs.reduce((sum, run) => sum + of(run), 0);
const KEPT = 'The brands keep the pictures that they have now.';

export const ACTIONS: Record<BulkAction, Does> = {
  pause: {
    text: 'Pause',
    done: 'paused',
    applies: (run) => isActive(run) && !run.paused,
    means: () => 'Nothing is lost. What is being downloaded is finished; the rest waits.',
  },
  resume: {
    text: 'Resume',
    done: 'resumed',
    applies: (run) => isActive(run) && run.paused,
    means: () => 'They go on where they were.',
  },
  redrive: {
    text: 'Retry failures',
    done: 'tried again',
    applies: (run) =>
      ['committed', 'failed', 'cancelled'].includes(run.state) &&
      (run.failed > 0 || run.state === 'failed'),
    means: (runs) =>
      `${plural(
        total(runs, (run) => run.failed),
        'failed item',
      )} will be tried again, in a new run of each brand.`,
  },
  publish: {
    text: 'Publish',
    done: 'published',
    applies: (run) => run.state === 'held',
    means: (runs) =>
      `${plural(
        total(runs, (run) => run.removed ?? 0),
        'asset',
      )} will be removed from the brands. The snapshots before are kept.`,
  },
  discard: {
    text: 'Discard',
    done: 'discarded',
    applies: (run) => run.state === 'held',
    means: (runs) =>
      `${plural(
        total(runs, (run) => run.done),
        'processed item',
      )} will be discarded. ${KEPT}`,
  },
  cancel: {
    text: 'Cancel',
    done: 'cancelled',
    applies: isActive,
    means: (runs) =>
      `${plural(
        total(runs, (run) => run.settled),
        'processed item',
      )} will be discarded. ${KEPT}`,
  },
};

export const NAMES = Object.keys(ACTIONS) as BulkAction[];

/** What a person agrees to, of those of the selected runs that the action is for. */
export function question(
  action: BulkAction,
  runs: readonly RunShown[],
  selected: number,
): { title: string; text: string; action: string } {
  const { text, means } = ACTIONS[action];
  const others = selected - runs.length;
  const left =
    others === 0
      ? ''
      : others === 1
        ? ' One selected run is left as it is: this is not for it.'
        : ` ${count(others)} selected runs are left as they are: this is not for them.`;
  const title = `${text} ${action === 'redrive' ? 'of ' : ''}${plural(runs.length, 'run')}?`;
  return {
    title,
    text: means(runs) + left,
    action: `${text}${action === 'redrive' ? ' of' : ''} ${plural(runs.length, 'run')}`,
  };
}

export interface Result {
  action: BulkAction;
  done: number;
  refused: readonly BulkOutcome[];
  /** Why the requests after a failed one were not sent; their runs are as they were. */
  stopped: { error: unknown; left: number } | null;
}

/** Do it, in requests of at most `REQUEST_MAX` runs; one that fails ends it, and that is said. */
export async function steer(action: BulkAction, runs: readonly RunShown[]): Promise<Result> {
  const refused: BulkOutcome[] = [];
  let done = 0;
  for (let at = 0; at < runs.length; at += REQUEST_MAX) {
    const part = runs.slice(at, at + REQUEST_MAX).map(({ id }) => id);
    try {
      const answer = await unwrap(
        api.POST('/api/v1/runs/bulk', {
          params: { header: idempotencyHeader() },
          body: { action, runs: part },
        }),
      );
      done += answer.done;
      refused.push(...answer.items.filter((item) => !item.done));
    } catch (error) {
      return { action, done, refused, stopped: { error, left: runs.length - at } };
    }
  }
  return { action, done, refused, stopped: null };
}
