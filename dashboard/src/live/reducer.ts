/**
 * What is known of brands, runs, tasks, queues, workers and limits, and how each frame changes it.
 *
 * States are whole and versioned, so a frame that comes late, twice or not at all does no harm: the
 * highest version that was seen of a thing stays. Snapshots of the API take the same path.
 */

import { noteChange } from '../api/fresh';
import type {
  EventShown,
  HostLimit,
  LimitedPhase,
  PhaseLimit,
  QueueShown,
  RunShown,
  TaskShown,
  WorkerShown,
} from '../api/types';
import { type Sample, sampled } from './pace';
import type { BrandState, LimitsState, WorkersState, QueueState, ServerFrame } from './protocol';

export interface LiveModel {
  brands: Map<string, BrandState>;
  /** Brands that live status has reported as deleted. */
  gone: Set<string>;
  runs: Map<string, RunShown>;
  /** Events by run, in order of seq, without gap from the first that is kept. */
  timelines: Map<string, readonly EventShown[]>;
  /** How fast each run went, lately. */
  paces: Map<string, readonly Sample[]>;
  tasks: Map<string, TaskShown>;
  queues: Map<string, QueueShown>;
  workers: Map<string, WorkerShown>;
  /** What operators have set for the phases; empty until it is known. */
  phases: Map<LimitedPhase, PhaseLimit>;
  /** Hosts that have limits of their own. */
  hosts: Map<string, HostLimit>;
  /** Versions of the lists, and what is a single number. */
  summary: Summary;
  /** Brands that a listing under way has named; null when none is. */
  listing: Set<string> | null;
}

export interface Summary {
  /** Every brand has been listed once. */
  listed: boolean;
  queuesVersion: number;
  workersVersion: number;
  limitsVersion: number;
  /** Dead letters that wait to be sent again; null while that is not known. */
  deadLetters: number | null;
  newestLetter: number | null;
}

/** Events of a run that are kept in the page; the API has the others. */
export const EVENTS_MAX = 2_000;

export function emptyModel(): LiveModel {
  return {
    brands: new Map(),
    gone: new Set(),
    runs: new Map(),
    timelines: new Map(),
    paces: new Map(),
    tasks: new Map(),
    queues: new Map(),
    workers: new Map(),
    phases: new Map(),
    hosts: new Map(),
    summary: {
      listed: false,
      queuesVersion: -1,
      workersVersion: -1,
      limitsVersion: -1,
      deadLetters: null,
      newestLetter: null,
    },
    listing: null,
  };
}

/** Apply a frame. */
export function reduce(model: LiveModel, frame: ServerFrame): void {
  if (frame.type === 'subscribed' && frame.topics.includes('brands')) model.listing = new Set();
  if (frame.type === 'listed') endListing(model);
  if (frame.type === 'timeline') addEvents(model, idOf(frame.topic), frame.events);
  if (frame.type !== 'state') return;
  if (frame.topic === 'queues') {
    if (frame.state) setQueues(model, frame.state as QueueState, frame.version);
  } else if (frame.topic === 'workers') {
    if (frame.state) setWorkers(model, (frame.state as WorkersState).workers, frame.version);
  } else if (frame.topic === 'limits') {
    if (frame.state) setLimits(model, frame.state as LimitsState, frame.version);
  } else if (frame.topic.startsWith('run:')) {
    if (frame.state) setRun(model, frame.state as RunShown);
    else forgetRun(model, idOf(frame.topic));
  } else if (frame.topic.startsWith('task:')) {
    if (frame.state) setTask(model, frame.state as TaskShown);
    else model.tasks.delete(idOf(frame.topic));
  } else {
    const name = 'key' in frame ? frame.key : idOf(frame.topic);
    if (frame.topic === 'brands') model.listing?.add(name);
    if (frame.state) {
      model.gone.delete(name);
      setBrand(model, frame.state as BrandState);
    } else {
      model.gone.add(name);
      model.brands.delete(name);
    }
  }
}

/** Take a brand of the API's list, which may be older than the news that the brand is deleted. */
export function setListed(model: LiveModel, state: BrandState): void {
  if (!model.gone.has(state.name)) setBrand(model, state);
}

export function setBrand(model: LiveModel, state: BrandState): void {
  const known = model.brands.get(state.name);
  if (state.latest) setRun(model, state.latest);
  if (!known || state.version > known.version) {
    if (known && snapshotOf(known) !== snapshotOf(state)) noteChange();
    // Live status leaves out what only an operator changes.
    model.brands.set(state.name, { ...known, ...state });
  } else if ('schedule' in state && !('schedule' in known)) {
    model.brands.set(state.name, { ...state, ...known });
  } else if ('schedule' in state && state.version === known.version) {
    // The frame of the same change came first, without it.
    model.brands.set(state.name, { ...known, ...state });
  }
}

const snapshotOf = (state: BrandState): string =>
  `${state.current_run ?? ''} ${state.latest?.ai_state ?? ''}`;

/** Take a run's state unless a newer one is known. */
export function setRun(model: LiveModel, run: RunShown): void {
  const known = model.runs.get(run.id);
  if (known && run.version <= known.version) return;
  model.runs.set(run.id, run);
  model.paces.set(run.id, sampled(model.paces.get(run.id) ?? [], run));
}

/** Take a task's state. It has no version; one that has ended stays ended. */
export function setTask(model: LiveModel, task: TaskShown): void {
  if (!model.tasks.get(task.id)?.ended_at) model.tasks.set(task.id, task);
}

/** Take the state of the queues; a snapshot of the API has version 0. */
export function setQueues(model: LiveModel, state: QueueState, version: number): void {
  if (version < model.summary.queuesVersion) return;
  model.summary.queuesVersion = version;
  model.summary.deadLetters = state.dead_letters;
  model.summary.newestLetter = state.newest_letter;
  for (const queue of state.queues) model.queues.set(queue.queue, queue);
}

/** Take the list of workers; a worker that is not on it has ended. */
export function setWorkers(
  model: LiveModel,
  workers: readonly WorkerShown[],
  version: number,
): void {
  if (version < model.summary.workersVersion) return;
  model.summary.workersVersion = version;
  const there = new Set(workers.map(({ id }) => id));
  for (const id of [...model.workers.keys()]) if (!there.has(id)) model.workers.delete(id);
  for (const worker of workers) model.workers.set(worker.id, worker);
}

/** Take all limits; a host that is not among them has none any more. */
export function setLimits(model: LiveModel, state: LimitsState, version: number): void {
  if (version < model.summary.limitsVersion) return;
  model.summary.limitsVersion = version;
  for (const limit of state.phases) model.phases.set(limit.phase, limit);
  const there = new Set(state.hosts.map(({ host }) => host));
  for (const host of [...model.hosts.keys()]) if (!there.has(host)) model.hosts.delete(host);
  for (const limit of state.hosts) model.hosts.set(limit.host, limit);
}

/** Add events; those that are there already are passed over, so pages may overlap. */
export function addEvents(model: LiveModel, run: string, events: readonly EventShown[]): void {
  const known = model.timelines.get(run) ?? [];
  const last = known.at(-1)?.seq ?? 0;
  const fresh = events.filter((event) => event.seq > last);
  if (fresh.length) model.timelines.set(run, [...known, ...fresh].slice(-EVENTS_MAX));
}

/** The seq after which to continue. */
export function lastSeq(model: LiveModel, run: string): number {
  return model.timelines.get(run)?.at(-1)?.seq ?? 0;
}

function endListing(model: LiveModel): void {
  // Deleted while the page was disconnected: no frame reports it.
  const named = model.listing;
  if (named) {
    for (const name of [...model.brands.keys()]) if (!named.has(name)) model.brands.delete(name);
  }
  model.listing = null;
  model.summary.listed = true;
}

function forgetRun(model: LiveModel, id: string): void {
  model.runs.delete(id);
  model.timelines.delete(id);
  model.paces.delete(id);
}

const idOf = (topic: string): string => topic.slice(topic.indexOf(':') + 1);
