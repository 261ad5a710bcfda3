/** What operators do to single items of a run. */

import { api, idempotencyHeader, unwrap } from '../api/client';
import { follow } from '../actions';
import type { ItemStanding, RunItem, RunShown, TaskShown } from '../api/types';
import { count, plural } from '../format';
import { router, urls } from '../router.svelte';
import { confirm } from '../ui/confirm.svelte';
import { toasts } from '../ui/toasts.svelte';
import { STANDING } from './standing';

const body = (items: readonly RunItem[]) => ({ keys: items.map(({ key }) => key) });
const onRun = (id: string) => ({ params: { path: { run: id }, header: idempotencyHeader() } });

async function submit(what: string, task: Promise<TaskShown>): Promise<TaskShown | null> {
  try {
    return await task;
  } catch (error) {
    toasts.failed(what, error);
    return null;
  }
}

/** What a task has left, in words: "1 was done, 2 were with the workers". */
function leftBy(task: TaskShown): string {
  const left = (task.result['left'] ?? {}) as Record<string, number>;
  const parts = Object.entries(left).map(([standing, times]) => {
    const where = STANDING[standing as ItemStanding] ?? 'not known';
    return `${count(times)} ${times === 1 ? 'was' : 'were'} ${where}`;
  });
  return parts.length ? `Left as they are: ${parts.join(', ')}.` : '';
}

function report(text: string, task: TaskShown): void {
  const detail = leftBy(task);
  toasts.show({ tone: 'good', text, ...(detail ? { detail } : {}) });
}

/** Try items again now; those of an ended run in a new run. Returns whether it was accepted. */
export async function tryNow(run: RunShown, items: readonly RunItem[]): Promise<boolean> {
  const task = await submit(
    'Could not try the items',
    unwrap(api.POST('/api/v1/runs/{run}/items/retry', { ...onRun(run.id), body: body(items) })),
  );
  if (!task) return false;
  const retried = plural(Number(task.result['retried'] ?? 0), 'item');
  if (run.state === 'active') {
    report(`${retried} of ${run.brand} tried now.`, task);
  } else if (task.run) {
    follow(task.run);
    router.go(urls.run(task.run));
  }
  return true;
}

/** Let items go, once an operator agrees to what that means. Returns whether it was accepted. */
export async function skip(run: RunShown, items: readonly RunItem[]): Promise<boolean> {
  const them = items.length === 1;
  const agreed = await confirm({
    title: `Skip ${plural(items.length, 'item')}?`,
    text: `${them ? 'It is' : 'They are'} not tried again, and the run goes on without ${them ? 'it' : 'them'}. ${them ? 'It counts' : 'They count'} as failed, but ${them ? 'does' : 'do'} not decide whether too many items have failed.`,
    action: them ? 'Skip it' : 'Skip them',
  });
  if (!agreed) return false;
  const task = await submit(
    'Could not skip the items',
    unwrap(api.POST('/api/v1/runs/{run}/items/skip', { ...onRun(run.id), body: body(items) })),
  );
  if (!task) return false;
  report(`${plural(Number(task.result['skipped'] ?? 0), 'item')} of ${run.brand} skipped.`, task);
  return true;
}
