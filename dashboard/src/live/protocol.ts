/** Frames of live status, as docs/reference/live.md has them. */

import type {
  BrandShown,
  EventShown,
  HostLimit,
  PhaseLimit,
  QueueShown,
  RunShown,
  TaskShown,
  WorkerShown,
} from '../api/types';

export type Topic =
  | 'brands'
  | 'queues'
  | 'workers'
  | 'limits'
  | `brand:${string}`
  | `run:${string}`
  | `task:${string}`;
/** A brand as live status sends it: without what only an operator changes, and without covers. */
export type BrandState = Omit<
  BrandShown,
  'schedule' | 'due_at' | 'schedule_words' | 'next_runs' | 'covers'
>;

interface StateFrame<T> {
  type: 'state';
  version: number;
  final: boolean;
  state: T | null;
}

export type ServerFrame =
  | { type: 'hello'; protocol: number; server: string; ping_s: number }
  | { type: 'subscribed' | 'unsubscribed'; topics: string[]; id?: string }
  | { type: 'pong'; id?: string }
  | (StateFrame<RunShown> & { topic: `run:${string}` })
  | (StateFrame<BrandState> & { topic: `brand:${string}` })
  | (StateFrame<BrandState> & { topic: 'brands'; key: string })
  | (StateFrame<TaskShown> & { topic: `task:${string}` })
  | (StateFrame<QueueState> & { topic: 'queues' })
  | (StateFrame<WorkersState> & { topic: 'workers' })
  | (StateFrame<LimitsState> & { topic: 'limits' })
  | { type: 'listed'; topic: 'brands'; count: number }
  | { type: 'timeline'; topic: `run:${string}`; last: number; events: EventShown[] }
  | { type: 'error'; code: string; message: string; field?: string; topic?: string };

export interface QueueState {
  queues: readonly QueueShown[];
  /** Kept and not sent again, counted up to `LETTERS_MAX`. */
  dead_letters: number;
  /** Id of the newest that is kept. */
  newest_letter: number | null;
}

export const LETTERS_MAX = 10_000;

export interface WorkersState {
  workers: readonly WorkerShown[];
}

/** What operators have paused or limited. */
export interface LimitsState {
  phases: readonly PhaseLimit[];
  hosts: readonly HostLimit[];
}

export type ClientFrame =
  | { type: 'subscribe'; topics: { topic: Topic; after?: number }[] }
  | { type: 'unsubscribe'; topics: Topic[] }
  | { type: 'ping'; id?: string };

/** Read a frame; null for what is not known here, which later servers may send. */
export function readFrame(text: string): ServerFrame | null {
  let frame: unknown;
  try {
    frame = JSON.parse(text);
  } catch {
    return null;
  }
  if (typeof frame !== 'object' || frame === null || !('type' in frame)) return null;
  return KNOWN.has(String(frame.type)) ? (frame as ServerFrame) : null;
}

const KNOWN = new Set([
  'hello',
  'subscribed',
  'unsubscribed',
  'pong',
  'state',
  'listed',
  'timeline',
  'error',
]);
