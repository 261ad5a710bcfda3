/** What operators do. Each action shows its result; one that ends later shows it then. */

import { api, idempotencyHeader, unwrap } from './api/client';
import type { ExportFormat, Reason, RunShown, SnapshotShown, TaskShown } from './api/types';
import { count, plural, when } from './format';
import { live } from './live/live.svelte';
import { router, urls } from './router.svelte';
import { whilePaused } from './run/whilePaused';
import { confirm } from './ui/confirm.svelte';
import { type Toast, toasts } from './ui/toasts.svelte';

type Ending = Omit<Toast, 'id'>;

/** What toasts about a run have in common, so that the newest replaces the others. */
const about = (run: string): string => `run:${run}`;

/** Show how a run ends, whatever view is open by then. Its own says already why it failed. */
export function follow(run: string | null): void {
  if (!run) return;
  live.follow(`run:${run}`, (state) => {
    toasts.closeAbout(about(run));
    const end = state as RunShown | null;
    const told = end?.state !== 'committed' && router.path === urls.run(run);
    if (end && !told) toasts.show(ending(end));
  });
}

/** True until another run of the brand is known. */
const newest = (run: RunShown) => (): boolean =>
  (live.model.brands.get(run.brand)?.latest?.id ?? run.id) === run.id;

function ending(run: RunShown): Ending {
  return { ...ended(run), about: about(run.id), holds: newest(run) };
}

function ended(run: RunShown): Ending {
  const action = { text: 'Show', href: urls.run(run.id) };
  if (run.state === 'committed') {
    const failed = run.failed ? `, ${count(run.failed)} failed` : '';
    const restored = (run.added ?? 0) + (run.kept ?? 0) + (run.changed ?? 0);
    const text = run.restores
      ? `${run.brand} is restored: ${plural(restored, 'asset')}.`
      : `${run.brand} is committed: ${plural(run.done, 'asset')}${failed}.`;
    return { tone: 'good', text, action };
  }
  if (run.state === 'held')
    return { tone: 'bad', text: `${run.brand} is held: ${run.reason ?? ''}.`, action };
  if (run.state === 'cancelled')
    return { tone: 'plain', text: `${run.brand} was cancelled.`, action };
  return {
    tone: 'bad',
    text: `${run.brand} failed: ${run.reason ?? 'open the run for details'}`,
    action,
  };
}

/** Show how a run's repeated AI phase ends. */
function followAi(run: string): void {
  live.follow(`run:${run}`, (state) => {
    if (!state) return;
    const { brand, ai_state, ai_reason } = state as RunShown;
    const action = { text: 'Show', href: urls.brand(brand, 'look') };
    if (ai_state === 'failed')
      toasts.show({ tone: 'bad', text: `The AI phase of ${brand} failed: ${ai_reason}`, action });
    else toasts.good(`The AI phase of ${brand} is done.`, action);
  });
}

/** Show how a worker's task ends; `done` makes the notice of one that succeeded. */
function followTask(task: TaskShown, what: string, done: (task: TaskShown) => Ending): void {
  live.follow(`task:${task.id}`, (state) => {
    const ended = state as TaskShown | null;
    if (ended?.state === 'done') toasts.show(done(ended));
    else if (ended) toasts.show({ tone: 'bad', text: what, ...why(ended) });
  });
}

/** Why a task failed, and what to do. */
function why({ result }: TaskShown): { detail?: string } {
  const parts = [result['error'], result['remedy']].filter((part) => typeof part === 'string');
  return parts.length ? { detail: parts.join(' ') } : {};
}

async function submit(what: string, task: Promise<TaskShown>): Promise<TaskShown | null> {
  try {
    return await task;
  } catch (error) {
    toasts.failed(what, error);
    return null;
  }
}

const onRun = (id: string) => ({ params: { path: { run: id }, header: idempotencyHeader() } });
const onBrand = (brand: string) => ({ params: { path: { brand }, header: idempotencyHeader() } });

/**
 * Start a run of a source or of URLs, by default of the brand's usual source; `replace` cancels an
 * active one of another source first. Throws the API's error, for a form to show at its field.
 */
export async function start(
  brand: string,
  origin: { source: string } | { urls: string[] } | null,
  replace = false,
): Promise<TaskShown> {
  const task = await unwrap(
    api.POST('/api/v1/brands/{brand}/runs', {
      ...onBrand(brand),
      body: { ...origin, replace },
    }),
  );
  follow(task.run);
  return task;
}

export async function runAgain(brand: string): Promise<void> {
  const task = await submit(`Could not start ${brand}`, start(brand, null));
  if (task?.run) router.go(urls.run(task.run));
}

export async function pause(run: RunShown): Promise<void> {
  const task = unwrap(api.POST('/api/v1/runs/{run}/pause', onRun(run.id)));
  if (await submit('Could not pause the run', task))
    toasts.good(
      `${run.brand} is paused.`,
      { text: 'Resume', run: () => void resume(run) },
      { about: about(run.id), holds: whilePaused(() => live.model.runs.get(run.id)) },
    );
}

export async function resume(run: RunShown): Promise<void> {
  const task = unwrap(api.POST('/api/v1/runs/{run}/resume', onRun(run.id)));
  if (await submit('Could not resume the run', task)) toasts.closeAbout(about(run.id));
}

export async function cancel(run: RunShown): Promise<void> {
  const agreed = await confirm({
    title: `Cancel the run of ${run.brand}?`,
    text: `${plural(run.settled, 'processed item')} will be discarded. The brand keeps its current snapshot.`,
    action: 'Cancel the run',
  });
  if (!agreed) return;
  const task = unwrap(api.POST('/api/v1/runs/{run}/cancel', onRun(run.id)));
  const taken = await submit('Could not cancel the run', task);
  // The run's own page says it already.
  if (taken && router.path !== urls.run(run.id))
    toasts.good(`The run of ${run.brand} is cancelled.`, undefined, { about: about(run.id) });
}

/** Commit a held run, although it removes much. */
export async function publish(run: RunShown): Promise<void> {
  const agreed = await confirm({
    title: `Publish the run of ${run.brand}?`,
    text: `${plural(run.removed ?? 0, 'asset')} will be removed from the brand. The snapshot before is kept.`,
    action: 'Publish it',
  });
  if (!agreed) return;
  const task = unwrap(api.POST('/api/v1/runs/{run}/publish', onRun(run.id)));
  if (await submit('Could not publish the run', task)) toasts.good(`${run.brand} is committed.`);
}

export async function discard(run: RunShown): Promise<void> {
  const agreed = await confirm({
    title: `Discard the run of ${run.brand}?`,
    text: `${plural(run.done, 'processed item')} will be discarded. The brand keeps its current snapshot.`,
    action: 'Discard it',
  });
  if (!agreed) return;
  const task = unwrap(api.POST('/api/v1/runs/{run}/discard', onRun(run.id)));
  if (await submit('Could not discard the run', task))
    toasts.good(`The run of ${run.brand} is discarded.`);
}

/** Make an older snapshot the current one again; says first what that changes. */
export async function restore(
  brand: string,
  current: string,
  snapshot: SnapshotShown,
): Promise<void> {
  const path = { brand, old: current, new: snapshot.run };
  const what = 'Could not restore the snapshot';
  let counts;
  try {
    counts = await unwrap(
      api.GET('/api/v1/brands/{brand}/snapshots/{old}/diff/{new}/counts', { params: { path } }),
    );
  } catch (error) {
    toasts.failed(what, error);
    return;
  }
  const models = counts.other_model
    ? ` ${plural(counts.other_model, 'asset')} were embedded by another model, and are not found together with others until the brand is re-embedded.`
    : '';
  const agreed = await confirm({
    title: `Restore ${brand} as of ${when(snapshot.ended_at ?? snapshot.created_at)}?`,
    text: `${plural(counts.added, 'asset')} will come back, ${count(counts.changed)} will have their earlier content, ${count(counts.removed)} will be removed, ${count(counts.kept)} stay as they are. Nothing is downloaded; the AI phase runs again. The present snapshot is kept.${models}`,
    action: 'Restore it',
  });
  if (!agreed) return;
  const task = unwrap(
    api.POST('/api/v1/brands/{brand}/snapshots/{snapshot}/restore', {
      params: { path: { brand, snapshot: snapshot.run }, header: idempotencyHeader() },
    }),
  );
  const taken = await submit(what, task);
  if (!taken?.run) return;
  follow(taken.run);
  router.go(urls.run(taken.run));
}

/** Retry a run's failed items in a new run: all, or those with one reason. */
export async function redrive(run: RunShown, reason?: Reason): Promise<void> {
  const body = reason ? { reasons: [reason] } : {};
  const task = unwrap(api.POST('/api/v1/runs/{run}/redrive', { ...onRun(run.id), body }));
  const taken = await submit('Could not retry the failed items', task);
  if (!taken?.run) return;
  follow(taken.run);
  const left = Object.values(taken.result['left'] ?? {}).reduce<number>(
    (sum, times) => sum + Number(times),
    0,
  );
  const others = left ? ` ${plural(left, 'other')} not retried.` : '';
  // Until the new run has ended, which closes it.
  toasts.good(`Retrying the failed items of ${run.brand}.${others}`, undefined, {
    about: about(taken.run),
  });
  router.go(urls.run(taken.run));
}

export async function aiAgain(brand: string): Promise<void> {
  const task = unwrap(api.POST('/api/v1/brands/{brand}/ai', onBrand(brand)));
  const taken = await submit('Could not start the AI phase', task);
  if (!taken) return;
  toasts.good(`Running the AI phase of ${brand} again.`);
  if (taken.run) followAi(taken.run);
}

export async function redriveLetters(ids: number[] | null): Promise<void> {
  const task = unwrap(
    api.POST('/api/v1/dead-letters/redrive', {
      params: { header: idempotencyHeader() },
      body: ids ? { ids } : {},
    }),
  );
  const taken = await submit('Could not send the messages again', task);
  const redriven = Number(taken?.result['redriven'] ?? 0);
  if (taken) toasts.good(`${plural(redriven, 'dead letter')} sent again.`);
}

export async function discardLetters(ids: number[]): Promise<void> {
  const agreed = await confirm({
    title: `Discard ${plural(ids.length, 'dead letter')}?`,
    text: 'They are deleted for good. What failed with them stays failed.',
    action: 'Discard',
  });
  if (!agreed) return;
  const task = unwrap(
    api.POST('/api/v1/dead-letters/discard', {
      params: { header: idempotencyHeader() },
      body: { ids },
    }),
  );
  const taken = await submit('Could not discard the messages', task);
  const discarded = Number(taken?.result['discarded'] ?? 0);
  if (taken) toasts.good(`${plural(discarded, 'dead letter')} discarded.`);
}

export async function setBrand(
  brand: string,
  source: string | null,
  schedule: string | null,
): Promise<void> {
  await unwrap(
    api.PUT('/api/v1/brands/{brand}', { ...onBrand(brand), body: { source, schedule } }),
  );
  toasts.good(`Source and schedule of ${brand} are saved.`);
}

export async function exportBrand(brand: string, format: string): Promise<TaskShown | null> {
  // Which formats there are is up to the server; the description names those of one server.
  const body = { format: format as ExportFormat };
  const task = unwrap(api.POST('/api/v1/brands/{brand}/exports', { ...onBrand(brand), body }));
  const taken = await submit('Could not start the export', task);
  if (!taken) return null;
  followTask(taken, `The export of ${brand} failed`, () => ({
    tone: 'good',
    text: `${brand} is exported as ${format}.`,
    action: { text: 'Show', href: urls.brand(brand, 'exports') },
  }));
  return taken;
}

export async function reembed(brand: string): Promise<void> {
  const agreed = await confirm({
    title: `Re-embed ${brand}?`,
    text: 'Every embedding is computed again with the current model, from the stored files. Nothing is downloaded. The old embeddings stay in use until the run commits.',
    action: 'Re-embed',
  });
  if (!agreed) return;
  const task = unwrap(api.POST('/api/v1/brands/{brand}/reembed', onBrand(brand)));
  const taken = await submit('Could not start the re-embedding', task);
  if (!taken?.run) return;
  follow(taken.run);
  router.go(urls.run(taken.run));
}

export async function deleteBrand(brand: string): Promise<void> {
  const agreed = await confirm({
    title: `Delete ${brand}?`,
    text: 'Its snapshots, runs and insights are deleted, and the stored files that no other brand uses. An active run is cancelled. This cannot be undone.',
    action: 'Delete it',
    typed: brand,
  });
  if (!agreed) return;
  const task = unwrap(api.DELETE('/api/v1/brands/{brand}', onBrand(brand)));
  const taken = await submit(`Could not delete ${brand}`, task);
  if (!taken) return;
  const deletion = `deletion:${brand}`;
  toasts.good(`${brand} is being deleted.`, undefined, { about: deletion });
  followTask(taken, `${brand} could not be deleted`, () => ({
    tone: 'good',
    text: `${brand} is deleted.`,
    about: deletion,
  }));
  router.go(urls.home());
}
