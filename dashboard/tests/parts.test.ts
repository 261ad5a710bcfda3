import { describe, expect, it } from 'vitest';
import { assetId, lastPart, nameOf } from '../src/brand/pictures';
import { clockOrDate, clockTime } from '../src/format';
import { leftOf, rate, remaining, SAMPLES_MAX, sampled, type Sample } from '../src/live/pace';
import { Grid, fitted, keyAt, readMap, spread } from '../src/map/layout';
import { panels, standing } from '../src/phases';
import { describeEvent } from '../src/run/events';
import { causeOf } from '../src/run/stalled';
import { series } from '../src/run/series';
import { kindOf, layout } from '../src/run/tiles';
import { whilePaused } from '../src/run/whilePaused';
import { arranged } from '../src/home/listing';
import type { BrandState } from '../src/live/protocol';
import type { RunShown, WorkerShown } from '../src/api/types';
import { parseMetrics } from '../src/system/metrics';
import { run } from './run';

const START = Date.parse('2026-01-01T00:00:00Z');
const after = (seconds: number): string => new Date(START + seconds * 1000).toISOString();

describe('a stalled run', () => {
  const worker = (over: Partial<WorkerShown> = {}): WorkerShown => ({
    id: 'w1',
    host: 'h',
    pid: 1,
    version: '1',
    phases: ['gather', 'acquire'],
    doing: {},
    stopping: false,
    started_at: after(0),
    alive: true,
    silent_s: 1,
    memory_bytes: null,
    per_second: {},
    held: [],
    hosts: [],
    ...over,
  });
  const stalled = run({ stalled: true });

  it('has a standing of its own, and an event', () => {
    expect(standing(stalled)).toBe('Stalled');
    const event = { seq: 1, at: after(0), kind: 'stalled', data: { since: after(0) } };
    expect(describeEvent(event)).toEqual({
      text: `Stalled: nothing has moved since ${clockTime(after(0))}`,
      tone: 'fail',
    });
  });

  it('says which worker is missing, and since when', () => {
    expect(causeOf(stalled, []).text).toBe(
      'No worker of the phase acquire has been seen in the last hour. Start one:',
    );
    const gone = worker({ alive: false, silent_s: 75 });
    expect(causeOf(stalled, [gone, worker({ phases: ['ai'] })]).text).toContain('seen for 1:15.');
    const gathering = { ...stalled, sealed: false };
    expect(causeOf(gathering, [worker({ phases: ['acquire'] })]).text).toContain('phase gather');
    expect(causeOf(stalled, [gone, worker({ id: 'w2' })])).toMatchObject({
      brief: '1 worker alive',
      command: null,
    });
  });

  it('is found in the list of brands, and is still a running one', () => {
    const state = (name: string, latest: RunShown | null) =>
      ({ name, latest, state: latest?.state ?? 'new', assets: 0 }) as unknown as BrandState;
    const brands = [state('a', run()), state('b', stalled), state('c', null)];
    const names = (wanted: string) =>
      arranged(brands, { text: '', state: wanted, order: 'name' }).map(({ name }) => name);
    expect(names('stalled')).toEqual(['b']);
    expect(names('active')).toEqual(['a', 'b']);
    expect(names('')).toEqual(['a', 'b', 'c']);
  });
});

describe('pace', () => {
  it('is what settled a second, lately', () => {
    let samples: readonly Sample[] = [];
    for (let second = 1; second <= 20; second++) {
      const settled = second <= 10 ? second : 10 + (second - 10) * 5;
      samples = sampled(samples, run({ progressed_at: after(second), settled, out: 3 }));
    }
    expect(rate(samples, START + 20_000)).toBeCloseTo(5);
    const moving = run({ expected: 160, settled: 60 });
    expect(remaining(moving, samples, START + 20_000)).toBeCloseTo(20);
    expect(rate(samples, START + 60_000)).toBeNull();
    expect(remaining({ ...moving, sealed: false }, samples, START + 20_000)).toBeNull();
  });

  it('says what the last items wait for, not how fast others went', () => {
    let samples: readonly Sample[] = [];
    for (let second = 1; second <= 10; second++)
      samples = sampled(samples, run({ progressed_at: after(second), settled: second * 10 }));
    const waits = { left: 1, delayed: 1, due_at: after(16), attempts: 1, host: null, detail: null };
    const last = run({ expected: 101, settled: 100 });
    const now = START + 10_000;
    expect(leftOf(last, samples, { ...waits, detail: 'HTTP 500' }, now)).toBe(
      '1 left, tried again in 6 s (HTTP 500)',
    );
    expect(leftOf(last, samples, waits, now)).toBe('1 left, tried again in 6 s (attempt 2 of 5)');
    expect(leftOf(last, samples, { ...waits, host: 'https://x.example' }, now)).toBe(
      '1 left, tried again in 6 s (x.example does not answer)',
    );
    expect(leftOf(last, samples, waits, START + 17_000)).toContain('1 left, tried again now');
    // Never 0:00 while something is left, and nothing while it is paused or over.
    expect(leftOf(last, samples, null, now)).toBe('1 left');
    expect(leftOf({ ...last, expected: 200 }, samples, null, now)).toBe('0:10 left');
    expect(leftOf({ ...last, expected: 110 }, samples, waits, now)).toBe('0:01 left');
    expect(leftOf({ ...last, paused: true }, samples, waits, now)).toBeNull();
    expect(leftOf({ ...last, state: 'committed' }, samples, waits, now)).toBeNull();
  });

  it('holds a bounded number of samples', () => {
    let samples: readonly Sample[] = [];
    for (let second = 1; second <= 3000; second++)
      samples = sampled(samples, run({ progressed_at: after(second), settled: second }));
    expect(samples.length).toBeLessThanOrEqual(SAMPLES_MAX);
    expect(rate(samples, START + 3000_000)).toBeCloseTo(1);
  });
});

describe('that a run is paused', () => {
  it('is true until it goes on or ends, and not untrue before the pause is seen', () => {
    let state: RunShown | undefined;
    const holds = whilePaused(() => state);
    expect(holds()).toBe(true);
    for (const [paused, over, expected] of [
      [false, false, true],
      [true, false, true],
      [false, false, false],
      [false, true, false],
    ] as const) {
      state = run({ paused, state: over ? 'committed' : 'active' });
      expect(holds()).toBe(expected);
    }
  });
});

describe('times', () => {
  it('have a date when they are not of today', () => {
    const now = new Date(2026, 0, 1, 19, 6).getTime();
    const at = (day: number): string => new Date(2026, 0, day, 19, 6, 26).toISOString();
    expect(clockOrDate(at(1), now)).toBe(clockTime(at(1)));
    for (const day of [2, 8]) {
      expect(clockOrDate(at(day), now)).toContain(String(day));
      expect(clockOrDate(at(day), now)).toContain('2026');
    }
  });
});

describe('events', () => {
  it('name the host that does not answer, or the proxy', () => {
    const said = (kind: string, host: string): string =>
      describeEvent({ seq: 1, at: after(0), kind, data: { host } }).text;
    expect(said('host_down', 'https://images.example.com')).toBe(
      'images.example.com does not answer: its URLs wait',
    );
    expect(said('host_back', 'http://127.0.0.1:8080')).toBe('127.0.0.1:8080 answers again');
    expect(said('host_down', 'proxy http://p:3128')).toBe(
      'The proxy p:3128 does not answer: its URLs wait',
    );
  });
});

describe('series', () => {
  const bucket = (second: number, settled: number) => ({
    at: after(second),
    settled,
    failed: 1,
    measured: settled,
    p50_s: 2,
    p95_s: 3,
  });

  it('ends one bucket where its time ends, and says that nothing is zero', () => {
    const one = series({ width_s: 4, each: 1, buckets: [bucket(8, 12)] }, [], after(0));
    expect(one.at.map((at) => at - START / 1000)).toEqual([0, 8, 12]);
    expect(one.settled).toEqual([0, 3, 3]);
    expect(one.p95).toEqual([null, 3, 3]);
  });

  it('goes on with what live status tells', () => {
    const samples = [0, 4, 6, 8].map((second) => ({
      at: START + second * 1000,
      settled: 10 * second,
      out: 30,
    }));
    const both = series({ width_s: 4, each: 1, buckets: [bucket(0, 40)] }, samples, after(0));
    expect(both.at.map((at) => at - START / 1000)).toEqual([0, 4, 6, 8]);
    expect(both.settled).toEqual([10, 10, 10, 10]);
    // Live states tell no latency: none is guessed, the measured one is the newest known.
    expect(both.p50).toEqual([2, null, null, 2]);
    expect(both.p95).toEqual([3, null, null, 3]);
    expect(series({ width_s: 1, each: 1, buckets: [] }, [], after(0)).at).toEqual([]);
    const live = series({ width_s: 1, each: 1, buckets: [] }, samples, after(0));
    expect(live.p50.filter((value) => value !== null)).toEqual([]);
  });
});

describe('tiles', () => {
  it.each([1, 7, 900, 100_000, 3_000_000])('%i items fit and none is lost', (items) => {
    const plan = layout(items, 600, 200);
    expect(plan.tiles * plan.each).toBeGreaterThanOrEqual(items);
    expect(plan.columns * plan.pitch).toBeLessThanOrEqual(601);
    expect(plan.rows * plan.pitch).toBeLessThanOrEqual(plan.pitch * 2 + 200);
    const counts = { expected: items, done: items - 1, failed: 1, out: 0 };
    const kinds = Array.from({ length: plan.tiles }, (_, tile) => kindOf(tile, plan, counts));
    expect(kinds).not.toContain('waiting');
    if (items > 1) expect(kinds.at(0)).toBe('done');
  });
});

describe('panels', () => {
  it('tell of a restore, which gathers nothing', () => {
    const restore = { kind: 'restore', restores: 'r0', expected: 0 } as const;
    const begun = run({ ...restore, sealed: false, phase: 'gather' });
    expect(panels(begun).gather.says).toBe('Looks for the objects of the snapshot');
    expect(standing(begun)).toBe('Restoring');
    const done = run({ ...restore, state: 'committed', phase: 'ai' });
    expect(panels(done).gather.says).toBe('The objects of the snapshot are there');
    expect([panels(done).gather.share, panels(done).acquire.share]).toEqual([1, 1]);
  });
  it('are full when all is over', () => {
    const over = run({ state: 'committed', over: true, done: 98, failed: 2, ai_state: 'done' });
    const { gather, acquire, ai } = panels(over);
    expect([gather.tone, acquire.tone, ai.tone]).toEqual(['full', 'full', 'full']);
    expect(acquire.share + acquire.failed).toBeCloseTo(1);
  });
  it('never fill while it is not known how many will come', () => {
    expect(panels(run({ sealed: false, expected: 10 ** 6 })).gather.share).toBeLessThan(1);
  });
  it('are empty before the first run', () => {
    expect(panels(null).acquire.tone).toBe('empty');
  });
});

describe('names', () => {
  it("makes the API's ids of keys", () => {
    // `python -c "from triptych.snapshots.asset_ids import asset_id; print(asset_id('nike', bytes(range(16))))"`
    expect(assetId('nike', '000102030405060708090a0b0c0d0e0f')).toBe('AAECAwQFBgcICQoLDA0OD25pa2U');
    expect(assetId('é', new Uint8Array(16).fill(255))).toBe('_____________________8Op');
  });
  it('names a picture by what is said of it, else by its address', () => {
    expect(nameOf({ url: 'https://a.example/b/c%20d.png?x#y', metadata: {} })).toBe('c d.png');
    expect(nameOf({ url: 'https://a.example/', metadata: { title: ' Shoe ' } })).toBe('Shoe');
    expect(lastPart('https://a.example/%E0%A4%A')).toBe('%E0%A4%A');
  });
});

function mapOf(points: [number, number, number][], names: string[]): ArrayBuffer {
  const written = new TextEncoder().encode(JSON.stringify(names));
  const buffer = new ArrayBuffer(32 + points.length * 28 + written.length);
  const view = new DataView(buffer);
  new Uint8Array(buffer).set(new TextEncoder().encode('TMAP'));
  [1, points.length, written.length].forEach((value, at) =>
    view.setUint32(4 + 4 * at, value, true),
  );
  points.forEach(([x, y, cluster], at) => {
    view.setFloat32(32 + 4 * at, x, true);
    view.setFloat32(32 + 4 * (points.length + at), y, true);
    view.setInt32(32 + 4 * (2 * points.length + at), cluster, true);
    view.setUint8(32 + 12 * points.length + 16 * at, at);
  });
  new Uint8Array(buffer).set(written, 32 + 28 * points.length);
  return buffer;
}

describe('map', () => {
  const scattered = Array.from({ length: 2_000 }, (_, at): [number, number, number] => [
    Math.cos(at) * (at / 2000),
    Math.sin(at * 1.3) * (at / 2000),
    at % 3 === 0 ? -1 : at % 3,
  ]);
  const map = readMap(mapOf(scattered, ['a', 'b', 'c']));
  const grid = new Grid(map);

  it('is read as it was written', () => {
    expect(map).toMatchObject({ count: 2_000, names: ['a', 'b', 'c'] });
    expect(keyAt(map, 7)[0]).toBe(7);
    expect(map.run).toBe('00000000-0000-0000-0000-000000000000');
    expect(() => readMap(new ArrayBuffer(40))).toThrow(/form/);
  });

  it('finds inside a lasso what looking at every point finds', () => {
    const lasso = [-0.3, -0.4, 0.5, -0.2, 0.2, 0.6, -0.1, 0.1];
    const found = new Set(grid.inside(lasso));
    const beside = (x: number, y: number): boolean => {
      let inside = false;
      for (let at = 0, before = 6; at < 8; before = at, at += 2) {
        const [xa, ya, xb, yb] = [lasso[at]!, lasso[at + 1]!, lasso[before]!, lasso[before + 1]!];
        if (ya > y !== yb > y && x < ((xb - xa) * (y - ya)) / (yb - ya) + xa) inside = !inside;
      }
      return inside;
    };
    const wanted = scattered.flatMap((_, at) => (beside(map.x[at]!, map.y[at]!) ? [at] : []));
    expect([...found].sort((a, b) => a - b)).toEqual(wanted);
    expect(wanted.length).toBeGreaterThan(50);
  });

  it('finds the nearest within reach', () => {
    expect(grid.nearest(map.x[500]!, map.y[500]!, 0.01)).toBe(500);
    expect(grid.nearest(9, 9, 0.1)).toBeNull();
  });

  it('spreads pictures so that none lies on another', () => {
    const side = 0.06;
    const everywhere = [-9, -9, 9, 9] as const;
    const shown = spread(map, grid.within(...everywhere), everywhere, side, null);
    const apart = (a: number, b: number): number =>
      Math.max(Math.abs(map.x[a]! - map.x[b]!), Math.abs(map.y[a]! - map.y[b]!));
    const near = shown.flatMap((a) => shown.filter((b) => a < b && apart(a, b) < side));
    expect(near).toEqual([]);
    expect(shown.length).toBeGreaterThan(80);
    const some = new Set([3, 5, 7]);
    for (const point of spread(map, grid.within(...everywhere), everywhere, side, some))
      expect(some.has(point)).toBe(true);
    expect(spread(map, grid.within(0, 0, 1, 1), [0, 0, 1, 1], side, null).length).toBeLessThan(
      shown.length,
    );
  });

  it('fits into a view, also when it is one point or none', () => {
    for (const points of [scattered, scattered.slice(0, 1), []]) {
      const camera = fitted(readMap(mapOf(points, [])), 800, 600);
      expect(Number.isFinite(camera.scale) && camera.scale > 0).toBe(true);
    }
  });
});

describe('metrics', () => {
  it('reads the clients, and tells when there is no such line', () => {
    expect(
      parseMetrics('# HELP triptych_live_clients x\ntriptych_live_clients 3.0\n').clients,
    ).toBe(3);
    expect(parseMetrics('other 1\n').clients).toBeNull();
  });
});
