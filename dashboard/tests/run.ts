import type { RunShown } from '../src/api/types';

/** A run's state, with what matters to a test set. */
export function run(over: Partial<RunShown> = {}): RunShown {
  return {
    id: 'r1',
    brand: 'nike',
    kind: 'full',
    state: 'active',
    over: false,
    phase: 'acquire',
    source: null,
    policy: { tolerated_failures: 0.5, max_attempts: 5, deadline_s: 3600 },
    sealed: true,
    paused: false,
    expected: 100,
    done: 0,
    failed: 0,
    settled: 0,
    out: 0,
    version: 1,
    seq: 0,
    created_at: '2026-01-01T00:00:00Z',
    progressed_at: '2026-01-01T00:00:00Z',
    deadline_at: '2026-01-01T01:00:00Z',
    ended_at: null,
    reason: null,
    reasons: {},
    added: null,
    kept: null,
    changed: null,
    removed: null,
    ai_state: 'none',
    ai_reason: null,
    ai_progress: {},
    traceparent: null,
    ...over,
  };
}
