/** Where the items of a run are, in words. */

import type { ItemCounts, ItemStanding, RunItem, RunShown } from '../api/types';
import { duration } from '../format';

/** Where an item is, as a person says it; the order is that of the filter. */
export const STANDING: Record<ItemStanding, string> = {
  pending: 'not sent yet',
  sent: 'with the workers',
  delayed: 'tried again later',
  done: 'done',
  failed: 'failed',
  skipped: 'skipped',
  cancelled: 'cancelled',
};
export const STANDINGS = Object.keys(STANDING) as ItemStanding[];

/** Of an active run one looks for what waits, of an ended one for what failed. */
export const usual = (run: RunShown): ItemStanding =>
  run.state === 'active' ? 'delayed' : 'failed';

export const total = (counts: ItemCounts): number =>
  STANDINGS.reduce((sum, standing) => sum + counts[standing], 0);

const UNSETTLED: readonly ItemStanding[] = ['pending', 'sent', 'delayed'];

/** Whether an operator can do something to an item: a run that did not commit is retried whole. */
export function steerable(run: RunShown, item: RunItem): boolean {
  if (run.state === 'active') return UNSETTLED.includes(item.state);
  return run.state === 'committed' && (item.state === 'failed' || item.state === 'skipped');
}

/** "in 12 s": how long until an item is tried again. */
export function untilNext(item: RunItem, now: number): string | null {
  if (!item.next_attempt_at) return null;
  const wait = Math.ceil((Date.parse(item.next_attempt_at) - now) / 1000);
  if (wait <= 0) return 'now';
  return wait < 120 ? `in ${wait} s` : `in ${duration(wait)}`;
}
