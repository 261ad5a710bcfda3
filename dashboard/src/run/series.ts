/** What a run's charts show: the API's sample first, then what live status told since. */

import type { components } from '../api/schema';
import type { Sample } from '../live/pace';

type Pace = components['schemas']['PaceShown'];

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

export function series(pace: Pace, samples: readonly Sample[], begun: string): Series {
  const shown: Series = { at: [], settled: [], failed: [], p50: [], p95: [] };
  const start = Date.parse(begun) / 1000;
  const put = (at: number, values: Partial<Record<keyof Series, number | null>>): void => {
    shown.at.push(at);
    for (const name of ['settled', 'failed', 'p50', 'p95'] as const)
      shown[name].push(values[name] ?? null);
  };
  let until = start;
  for (const bucket of pace.buckets) {
    const at = Date.parse(bucket.at) / 1000;
    // A span in which nothing settled is no gap in what is known: it is zero.
    for (let empty = until; at - empty > pace.width_s * 0.5; empty += pace.width_s)
      put(empty, { settled: 0, failed: 0 });
    put(at, {
      settled: bucket.settled / pace.width_s,
      failed: bucket.failed / pace.width_s,
      p50: bucket.p50_s,
      p95: bucket.p95_s,
    });
    until = at + pace.width_s;
  }
  addLive(samples, until * 1000, put);
  return shown;
}

function addLive(
  samples: readonly Sample[],
  afterMs: number,
  put: (at: number, values: { settled: number; p50: number | null }) => void,
): void {
  let before: Sample | null = null;
  for (const sample of samples) {
    if (sample.at < afterMs) {
      before = sample;
      continue;
    }
    if (!before) {
      before = sample;
      continue;
    }
    const span = sample.at - before.at;
    if (span < STEP_MS) continue;
    const settled = ((sample.settled - before.settled) / span) * 1000;
    // Little's law: what is out, divided by what settles in a second, is how long one takes.
    const took = settled > 0 && sample.out > 0 ? sample.out / settled : null;
    put(sample.at / 1000, { settled, p50: took });
    before = sample;
  }
}
