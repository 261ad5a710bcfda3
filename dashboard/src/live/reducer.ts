/**
 * What is known of brands, runs and queues, and how each frame changes it.
 *
 * States are whole and versioned, so a frame that comes late, twice or not at all does no harm: the
 * highest version that was seen of a thing stays. Snapshots of the API come through the same door.
 */

import type { EventShown, QueueShown, RunShown } from '../api/types';
import { type Sample, sampled } from './pace';
import type { BrandState, ServerFrame } from './protocol';

export interface LiveModel {
  brands: Map<string, BrandState>;
  runs: Map<string, RunShown>;
  /** Events by run, in order of seq, without gap from the first that is kept. */
  timelines: Map<string, readonly EventShown[]>;
  /** How fast each run went, lately. */
  paces: Map<string, readonly Sample[]>;
  queues: Map<string, QueueShown>;
  /** Of the state of `queues`. */
  queuesVersion: number;
  /** Brands that a listing under way has named; null when none is. */
  listing: Set<string> | null;
  /** Every brand there is has been told once. */
  listed: boolean;
}

/** Events of a run that are kept in the page; the API has the others. */
export const EVENTS_MAX = 2_000;

export function emptyModel(): LiveModel {
  return {
    brands: new Map(),
    runs: new Map(),
    timelines: new Map(),
    paces: new Map(),
    queues: new Map(),
    queuesVersion: -1,
    listing: null,
    listed: false,
  };
}

/** Apply a frame. Return the runs that ended by it, for whoever waits for one. */
export function reduce(model: LiveModel, frame: ServerFrame): RunShown[] {
  if (frame.type === 'subscribed' && frame.topics.includes('brands')) model.listing = new Set();
  if (frame.type === 'listed') endListing(model);
  if (frame.type === 'timeline') addEvents(model, runOf(frame.topic), frame.events);
  if (frame.type !== 'state') return [];
  if (frame.topic === 'queues') {
    if (frame.state) setQueues(model, frame.state.queues, frame.version);
    return [];
  }
  if (frame.topic.startsWith('run:')) {
    const id = runOf(frame.topic);
    if (frame.state === null) forgetRun(model, id);
    return frame.state ? setRun(model, frame.state as RunShown) : [];
  }
  const name = 'key' in frame ? frame.key : frame.topic.slice('brand:'.length);
  if (frame.topic === 'brands') model.listing?.add(name);
  if (frame.state === null) model.brands.delete(name);
  return frame.state ? setBrand(model, frame.state as BrandState) : [];
}

export function setBrand(model: LiveModel, state: BrandState): RunShown[] {
  const known = model.brands.get(state.name);
  const ended = state.latest ? setRun(model, state.latest) : [];
  if (!known || state.version > known.version) {
    // Live status does not tell what only changes when somebody sets it.
    model.brands.set(state.name, { ...known, ...state });
  } else if ('schedule' in state && !('schedule' in known)) {
    model.brands.set(state.name, { ...state, ...known });
  }
  return ended;
}

/** Take a run's state unless a newer one is known. */
export function setRun(model: LiveModel, run: RunShown): RunShown[] {
  const known = model.runs.get(run.id);
  if (known && run.version <= known.version) return [];
  model.runs.set(run.id, run);
  model.paces.set(run.id, sampled(model.paces.get(run.id) ?? [], run));
  return run.over && known && !known.over ? [run] : [];
}

export function setQueues(model: LiveModel, queues: readonly QueueShown[], version: number): void {
  if (version < model.queuesVersion) return;
  model.queuesVersion = version;
  for (const queue of queues) model.queues.set(queue.queue, queue);
}

/** Add events; those that are there already are passed over, so pages may overlap. */
export function addEvents(model: LiveModel, run: string, events: readonly EventShown[]): void {
  const known = model.timelines.get(run) ?? [];
  const last = known.at(-1)?.seq ?? 0;
  const fresh = events.filter((event) => event.seq > last);
  if (fresh.length) model.timelines.set(run, [...known, ...fresh].slice(-EVENTS_MAX));
}

/** The seq to go on behind. */
export function lastSeq(model: LiveModel, run: string): number {
  return model.timelines.get(run)?.at(-1)?.seq ?? 0;
}

function endListing(model: LiveModel): void {
  // Deleted while nobody was connected: no frame will ever tell.
  const named = model.listing;
  if (named) {
    for (const name of [...model.brands.keys()]) if (!named.has(name)) model.brands.delete(name);
  }
  model.listing = null;
  model.listed = true;
}

function forgetRun(model: LiveModel, id: string): void {
  model.runs.delete(id);
  model.timelines.delete(id);
  model.paces.delete(id);
}

const runOf = (topic: string): string => topic.slice('run:'.length);
