/**
 * What a run's charts show: the API's sample, then the live states since.
 *
 * Live states only tell how many items settled. Latencies are measured ones, so only the API's.
 */

import type { components } from '../api/schema';
import type { Sample } from '../live/pace';

type Pace = Pick<components['schemas']['PaceShown'], 'width_s' | 'each' | 'buckets'>;

export interface Series {
  /** Seconds since 1970. */
  at: number[];
  settled: (number | null)[];
  failed: (number | null)[];
  p50: (number | null)[];
  p95: (number | null)[];
}

/** Live states nearer than this are drawn as one point. */
const STEP_MS = 1_000;

/** Values hold from their time to the next; the last time only ends what is before it. */
export function series(pace: Pace, samples: readonly Sample[], begun: string): Series {
  const shown: Series = { at: [], settled: [], failed: [], p50: [], p95: [] };
  const put: Put = (at, values) => {
    shown.at.push(at);
    for (const name of COLUMNS) shown[name].push(values[name] ?? null);
  };
  let until = Date.parse(begun) / 1000;
  for (const bucket of pace.buckets) {
    const at = Date.parse(bucket.at) / 1000;
    // A span in which nothing settled is no gap in what is known: it is zero.
    if (at - until > pace.width_s * 0.5) put(until, { settled: 0, failed: 0 });
    put(at, {
      settled: bucket.settled / pace.width_s,
      failed: bucket.failed / pace.width_s,
      p50: bucket.p50_s,
      p95: bucket.p95_s,
    });
    until = at + pace.width_s;
  }
  until = addLive(samples, until, put);
  if (shown.at.length)
    put(until, Object.fromEntries(COLUMNS.map((name) => [name, known(shown, name)])));
  return shown;
}

const COLUMNS = ['settled', 'failed', 'p50', 'p95'] as const;
type Put = (at: number, values: Partial<Record<(typeof COLUMNS)[number], number | null>>) => void;
/** The newest value that is known. */
const known = (shown: Series, name: (typeof COLUMNS)[number]): number | null =>
  shown[name].findLast((value) => value !== null) ?? null;

/** Add the live states after some second; return the time of the last one. */
function addLive(samples: readonly Sample[], after: number, put: Put): number {
  let [before, until]: [Sample | null, number] = [null, after];
  for (const sample of samples) {
    if (sample.at <= after * 1000 || !before) {
      before = sample;
      continue;
    }
    const span = sample.at - before.at;
    if (span < STEP_MS) continue;
    const settled = ((sample.settled - before.settled) / span) * 1000;
    put(Math.max(before.at / 1000, after), { settled });
    [before, until] = [sample, sample.at / 1000];
  }
  return until;
}
