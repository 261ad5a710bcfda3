/** What operators do. Each says what became of it; what ends later is told when it does. */

import { api, data, once } from './api/client';
import type { ExportFormat, Reason, RunShown, TaskShown } from './api/types';
import { count, plural } from './format';
import { live } from './live/live.svelte';
import { at, router } from './router.svelte';
import { confirm } from './ui/confirm.svelte';
import { type Toast, toasts } from './ui/toasts.svelte';

type Ending = Omit<Toast, 'id'>;

/** Tell how a run ends, wherever one is by then. */
export function follow(run: string | null): void {
  if (run) live.follow(`run:${run}`, (state) => state && toasts.show(ending(state as RunShown)));
}

function ending(run: RunShown): Ending {
  const action = { text: 'Show', href: at.run(run.id) };
  if (run.state === 'committed') {
    const failed = run.failed ? `, ${count(run.failed)} failed` : '';
    const text = `${run.brand} is committed: ${plural(run.done, 'asset')}${failed}.`;
    return { tone: 'good', text, action };
  }
  if (run.state === 'cancelled')
    return { tone: 'plain', text: `${run.brand} was cancelled.`, action };
  return { tone: 'bad', text: `${run.brand} failed: ${run.reason ?? 'see its run'}`, action };
}

/** Tell how a run's AI phase ends that was asked for again. */
function followAi(run: string): void {
  live.follow(`run:${run}`, (state) => {
    if (!state) return;
    const { brand, ai_state, ai_reason } = state as RunShown;
    const action = { text: 'Show', href: at.brand(brand, 'look') };
    if (ai_state === 'failed')
      toasts.show({ tone: 'bad', text: `The AI phase of ${brand} failed: ${ai_reason}`, action });
    else toasts.good(`The AI phase of ${brand} is done.`, action);
  });
}

/** Tell how a task ends that a worker does; `done` says what is there then. */
function followTask(task: TaskShown, what: string, done: (task: TaskShown) => Ending): void {
  live.follow(`task:${task.id}`, (state) => {
    const ended = state as TaskShown | null;
    if (ended?.state === 'done') toasts.show(done(ended));
    else if (ended) toasts.show({ tone: 'bad', text: what, ...why(ended) });
  });
}

/** Why a task failed, and what to do. */
function why({ result }: TaskShown): { detail?: string } {
  const told = [result['error'], result['remedy']].filter((part) => typeof part === 'string');
  return told.length ? { detail: told.join(' ') } : {};
}

async function submit(what: string, task: Promise<TaskShown>): Promise<TaskShown | null> {
  try {
    return await task;
  } catch (error) {
    toasts.failed(what, error);
    return null;
  }
}

const onRun = (id: string) => ({ params: { path: { run: id }, header: once() } });
const onBrand = (brand: string) => ({ params: { path: { brand }, header: once() } });

/** Start a run. Raises what the API answers, for a form to show at its field. */
export async function start(brand: string, source: string | null): Promise<TaskShown> {
  const task = await data(
    api.POST('/api/v1/brands/{brand}/runs', {
      ...onBrand(brand),
      body: source ? { source } : {},
    }),
  );
  follow(task.run);
  return task;
}

export async function runAgain(brand: string): Promise<void> {
  const task = await submit(`${brand} was not started`, start(brand, null));
  if (task?.run) router.go(at.run(task.run));
}

export async function pause(run: RunShown): Promise<void> {
  const task = data(api.POST('/api/v1/runs/{run}/pause', onRun(run.id)));
  if (await submit('Not paused', task))
    toasts.good(`${run.brand} is paused.`, { text: 'Resume', run: () => void resume(run) });
}

export async function resume(run: RunShown): Promise<void> {
  await submit('Not resumed', data(api.POST('/api/v1/runs/{run}/resume', onRun(run.id))));
}

export async function cancel(run: RunShown): Promise<void> {
  const agreed = await confirm({
    title: `Cancel the run of ${run.brand}?`,
    text: `${plural(run.settled, 'item')} that settled will be dropped. The brand keeps the snapshot it has.`,
    action: 'Cancel the run',
  });
  if (!agreed) return;
  const task = data(api.POST('/api/v1/runs/{run}/cancel', onRun(run.id)));
  if (await submit('Not cancelled', task)) toasts.good(`The run of ${run.brand} is cancelled.`);
}

/** Try a run's failed items again, in a run of their own: all, or those of one reason. */
export async function redrive(run: RunShown, reason?: Reason): Promise<void> {
  const body = reason ? { reasons: [reason] } : {};
  const task = data(api.POST('/api/v1/runs/{run}/redrive', { ...onRun(run.id), body }));
  const taken = await submit('Not redriven', task);
  if (!taken?.run) return;
  follow(taken.run);
  toasts.good(`What failed of ${run.brand} is tried again.`);
  router.go(at.run(taken.run));
}

export async function aiAgain(brand: string): Promise<void> {
  const task = data(api.POST('/api/v1/brands/{brand}/ai', onBrand(brand)));
  const taken = await submit('The AI phase was not started', task);
  if (!taken) return;
  toasts.good(`The AI phase of ${brand} runs again.`);
  if (taken.run) followAi(taken.run);
}

export async function redriveLetters(ids: number[] | null): Promise<void> {
  const task = data(
    api.POST('/api/v1/dead-letters/redrive', {
      params: { header: once() },
      body: ids ? { ids } : {},
    }),
  );
  const taken = await submit('Not redriven', task);
  const redriven = Number(taken?.result['redriven'] ?? 0);
  if (taken) toasts.good(`${plural(redriven, 'dead letter')} sent again.`);
}

export async function setBrand(
  brand: string,
  source: string | null,
  schedule: string | null,
): Promise<void> {
  await data(api.PUT('/api/v1/brands/{brand}', { ...onBrand(brand), body: { source, schedule } }));
  toasts.good(`${brand} is set.`);
}

export async function exportBrand(brand: string, format: string): Promise<TaskShown | null> {
  // Which formats there are is up to the server; the description names those of one server.
  const body = { format: format as ExportFormat };
  const task = data(api.POST('/api/v1/brands/{brand}/exports', { ...onBrand(brand), body }));
  const taken = await submit('Not exported', task);
  if (!taken) return null;
  followTask(taken, `${brand} was not exported`, () => ({
    tone: 'good',
    text: `${brand} is exported as ${format}.`,
    action: { text: 'Show', href: at.brand(brand, 'exports') },
  }));
  return taken;
}

export async function reembed(brand: string): Promise<void> {
  const agreed = await confirm({
    title: `Embed ${brand} anew?`,
    text: 'Every asset is embedded again with the model in force, from the stored bytes: nothing is fetched. Readers keep the old embeddings until it commits.',
    action: 'Embed anew',
  });
  if (!agreed) return;
  const task = data(api.POST('/api/v1/brands/{brand}/reembed', onBrand(brand)));
  const taken = await submit('Not embedded', task);
  if (!taken?.run) return;
  follow(taken.run);
  router.go(at.run(taken.run));
}

export async function deleteBrand(brand: string): Promise<void> {
  const agreed = await confirm({
    title: `Delete ${brand}?`,
    text: 'Its snapshots, runs and insights go, and the stored bytes that no other brand uses. An active run is cancelled. This cannot be undone.',
    action: 'Delete it',
    typed: brand,
  });
  if (!agreed) return;
  const task = data(api.DELETE('/api/v1/brands/{brand}', onBrand(brand)));
  const taken = await submit('Not deleted', task);
  if (!taken) return;
  followTask(taken, `${brand} was not deleted`, () => ({
    tone: 'good',
    text: `${brand} is deleted.`,
  }));
  toasts.good(`${brand} is being deleted.`);
  router.go(at.home());
}
