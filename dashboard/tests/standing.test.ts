import { describe, expect, it } from 'vitest';
import type { RunItem } from '../src/api/types';
import { describeEvent } from '../src/run/events';
import { STANDINGS, steerable, total, untilNext, usual } from '../src/run/standing';
import { run } from './run';

const NOW = Date.parse('2026-01-01T00:00:00Z');

function item(changes: Partial<RunItem>): RunItem {
  const known = { key: '00', url: 'https://x/1', host: 'x', state: 'delayed', attempts: 1 };
  return { ...known, max_attempts: 5, reason: null, ...changes } as RunItem;
}

describe('when an item is tried next', () => {
  const cases: [string | null, string | null][] = [
    [null, null],
    ['2025-12-31T23:59:59Z', 'now'],
    ['2026-01-01T00:00:11.2Z', 'in 12 s'],
    ['2026-01-01T00:09:57Z', 'in 9:57'],
  ];
  it.each(cases)('%s is %s', (at, says) => {
    expect(untilNext(item({ next_attempt_at: at }), NOW)).toBe(says);
  });
});

describe('what can be done to an item', () => {
  const able = (changes: Parameters<typeof run>[0]) =>
    STANDINGS.filter((state) => steerable(run(changes), item({ state })));
  it('waits while the run is active', () => {
    expect(able({ state: 'active' })).toEqual(['pending', 'sent', 'delayed']);
    expect(usual(run({ state: 'active' }))).toBe('delayed');
  });
  it('has failed once the run has committed', () => {
    expect(able({ state: 'committed' })).toEqual(['failed', 'skipped']);
    expect(usual(run({ state: 'committed' }))).toBe('failed');
  });
  it('is nothing in a run that did not commit', () =>
    expect(able({ state: 'failed' })).toEqual([]));
});

it('counts every standing', () => {
  const counts = Object.fromEntries(STANDINGS.map((standing) => [standing, 2]));
  expect(total({ ...counts, each: 1, hosts: [], hosts_found: 9 } as never)).toBe(14);
});

describe('the timeline', () => {
  const says = (kind: string, data: Record<string, unknown>) =>
    describeEvent({ seq: 1, at: '', kind, data } as never);
  it('tells skipped items from failures', () => {
    expect(says('failures', { skipped: 1 })).toEqual({
      text: '1 item skipped by an operator',
      tone: 'plain',
    });
    expect(says('failures', { timeout: 2, skipped: 3 })).toEqual({
      text: 'Failed: 2 timeout. 3 items skipped by an operator',
      tone: 'fail',
    });
  });
  it('says what was tried at once', () => {
    expect(says('tried_now', { items: 2 }).text).toBe('2 items tried at once');
  });
});
