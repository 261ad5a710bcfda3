/** How fast a run goes, computed from its states alone. */

import type { components } from '../api/schema';
import type { RunShown } from '../api/types';
import { count, duration } from '../format';

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

type Waits = components['schemas']['WaitsShown'];

/**
 * What is left of a run, in words: how long it takes, or what it waits for.
 *
 * While all that is left is put off, how fast others went says nothing.
 */
export function leftOf(
  run: RunShown,
  samples: readonly Sample[],
  waits: Waits | null,
  now: number,
): string | null {
  const left = run.expected - run.settled;
  if (run.state !== 'active' || !run.sealed || run.paused || left <= 0) return null;
  if (waits?.due_at && waits.delayed >= left) {
    const wait = (Date.parse(waits.due_at) - now) / 1000;
    const when = wait >= 1 ? `tried again in ${spell(wait)}` : 'tried again now';
    return `${count(left)} left, ${when}${because(run, waits)}`;
  }
  const known = remaining(run, samples, now);
  if (known === null) return null;
  return known >= 1 ? `${duration(known)} left` : `${count(left)} left`;
}

const spell = (wait: number): string =>
  wait < 120 ? `${Math.ceil(wait)} s` : duration(Math.ceil(wait));

function because(run: RunShown, { host, detail, attempts }: Waits): string {
  if (host) return ` (${host.replace(/^https?:\/\//, '')} does not answer)`;
  if (detail) return ` (${detail})`;
  return attempts ? ` (attempt ${attempts + 1} of ${run.policy.max_attempts})` : '';
}
