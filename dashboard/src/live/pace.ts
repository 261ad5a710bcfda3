/** How fast a run goes, computed from its states alone. */

import type { RunShown } from '../api/types';

export interface Sample {
  /** Milliseconds, by the server's clock: when the run last made progress. */
  at: number;
  settled: number;
  out: number;
}

/** States kept of a run: two minutes at four a second; older ones thin out. */
export const SAMPLES_MAX = 480;
/** The rate shown is of this long a time. */
const WINDOW_MS = 8_000;
/** A run that has not moved for this long has no rate. */
const STILL_MS = 20_000;

export function sampled(samples: readonly Sample[], run: RunShown): readonly Sample[] {
  const next = { at: Date.parse(run.progressed_at), settled: run.settled, out: run.out };
  const last = samples.at(-1);
  if (last && next.settled === last.settled && next.out === last.out) return samples;
  const first = { at: Date.parse(run.created_at), settled: 0, out: 0 };
  const all = samples.length ? [...samples, next] : [first, next];
  if (all.length <= SAMPLES_MAX) return all;
  const half = Math.floor(SAMPLES_MAX / 2);
  return [...all.slice(0, half).filter((_, place) => place % 2 === 0), ...all.slice(half)];
}

/** Items a second that settled lately; null while that is unknown. */
export function rate(samples: readonly Sample[], now: number): number | null {
  const last = samples.at(-1);
  if (!last || now - last.at > STILL_MS) return null;
  const before = samples.findLast((sample) => sample.at <= last.at - WINDOW_MS) ?? samples[0];
  if (!before || last.at - before.at < 500) return null;
  return ((last.settled - before.settled) / (last.at - before.at)) * 1000;
}

/** Seconds until a run has settled all that is expected; null while that is unknown. */
export function remaining(run: RunShown, samples: readonly Sample[], now: number): number | null {
  if (run.state !== 'active' || !run.sealed || run.paused) return null;
  const each = rate(samples, now);
  return each ? (run.expected - run.settled) / each : null;
}
