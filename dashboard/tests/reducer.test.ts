import { describe, expect, it } from 'vitest';
import type {
  EventShown,
  HostLimit,
  PhaseLimit,
  RunShown,
  TaskShown,
  WorkerShown,
} from '../src/api/types';
import { run } from './run';
import { hostOf, trafficOf, who } from '../src/system/limitWords';
import type { BrandState, ServerFrame } from '../src/live/protocol';
import { readFrame } from '../src/live/protocol';
import {
  addEvents,
  emptyModel,
  EVENTS_MAX,
  lastSeq,
  reduce,
  setBrand,
  setListed,
  setQueues,
  setTask,
} from '../src/live/reducer';

function brand(name: string, version: number, over: Partial<BrandState> = {}): BrandState {
  return {
    name,
    source: null,
    state: 'new',
    phase: 'over',
    current_run: null,
    assets: 0,
    latest: null,
    version,
    ...over,
  };
}

const runFrame = (state: RunShown | null, version = state?.version ?? 0): ServerFrame => ({
  type: 'state',
  topic: 'run:r1',
  version,
  final: false,
  state,
});
const brandsFrame = (state: BrandState): ServerFrame => ({
  type: 'state',
  topic: 'brands',
  key: state.name,
  version: state.version,
  final: false,
  state,
});
const event = (seq: number): EventShown => ({
  seq,
  at: '2026-01-01T00:00:00Z',
  kind: 'page',
  data: {},
});

describe('states', () => {
  it('keeps the highest version, in whatever order frames come', () => {
    const model = emptyModel();
    for (const version of [2, 5, 3, 5, 1]) reduce(model, runFrame(run({ version, done: version })));
    expect(model.runs.get('r1')).toMatchObject({ version: 5, done: 5 });
  });

  it('forgets what is not there, whatever its version was', () => {
    const model = emptyModel();
    reduce(model, runFrame(run({ version: 7 })));
    reduce(model, runFrame(null, 0));
    expect(model.runs.has('r1')).toBe(false);
  });

  it("takes a brand's newest run as that run's state", () => {
    const model = emptyModel();
    reduce(model, brandsFrame(brand('nike', 1, { latest: run({ version: 4 }) })));
    expect(model.runs.get('r1')?.version).toBe(4);
    reduce(model, brandsFrame(brand('nike', 2, { latest: run({ version: 3 }) })));
    expect(model.runs.get('r1')?.version).toBe(4);
  });

  it('keeps what only snapshots tell', () => {
    const model = emptyModel();
    setBrand(model, { ...brand('nike', 1), schedule: '0 3 * * 1', due_at: null } as BrandState);
    reduce(model, brandsFrame(brand('nike', 2, { assets: 9 })));
    expect(model.brands.get('nike')).toMatchObject({ schedule: '0 3 * * 1', assets: 9 });
  });

  it('takes a new schedule whose frame came before its snapshot', () => {
    const model = emptyModel();
    setBrand(model, { ...brand('nike', 1), schedule: null, due_at: null } as BrandState);
    reduce(model, brandsFrame(brand('nike', 2)));
    setBrand(model, { ...brand('nike', 2), schedule: '0 3 * * 1', due_at: null } as BrandState);
    expect(model.brands.get('nike')).toMatchObject({ schedule: '0 3 * * 1' });
    setBrand(model, { ...brand('nike', 1), schedule: null, due_at: null } as BrandState);
    expect(model.brands.get('nike')).toMatchObject({ schedule: '0 3 * * 1' });
  });

  it('passes over an older snapshot of the API', () => {
    const model = emptyModel();
    reduce(model, brandsFrame(brand('nike', 5, { assets: 5 })));
    setBrand(model, brand('nike', 4, { assets: 4 }));
    expect(model.brands.get('nike')?.assets).toBe(5);
  });
});

describe('listing', () => {
  it('does not bring back a brand whose deletion came before an older list', () => {
    const model = emptyModel();
    setListed(model, brand('nike', 3));
    reduce(model, { ...brandsFrame(brand('nike', 4)), state: null } as ServerFrame);
    setListed(model, brand('nike', 3));
    expect([...model.brands.keys()]).toEqual([]);
    // A new brand of that name.
    reduce(model, brandsFrame(brand('nike', 1)));
    setListed(model, brand('nike', 1));
    expect([...model.brands.keys()]).toEqual(['nike']);
  });

  it('removes brands that went while nobody was connected, at its end and no sooner', () => {
    const model = emptyModel();
    for (const name of ['a', 'b']) setBrand(model, brand(name, 1));
    reduce(model, { type: 'subscribed', topics: ['brands'] });
    reduce(model, brandsFrame(brand('b', 1)));
    expect([...model.brands.keys()]).toEqual(['a', 'b']);
    reduce(model, { type: 'listed', topic: 'brands', count: 1 });
    expect([...model.brands.keys()]).toEqual(['b']);
  });

  it('removes nothing when another topic is subscribed', () => {
    const model = emptyModel();
    setBrand(model, brand('a', 1));
    reduce(model, { type: 'subscribed', topics: ['queues'] });
    reduce(model, { type: 'listed', topic: 'brands', count: 0 });
    expect(model.brands.has('a')).toBe(true);
  });
});

describe('timeline', () => {
  it('has every seq once and in order, whatever pages overlap', () => {
    const model = emptyModel();
    addEvents(model, 'r1', [event(1), event(2)]);
    reduce(model, { type: 'timeline', topic: 'run:r1', last: 4, events: [2, 3, 4].map(event) });
    reduce(model, { type: 'timeline', topic: 'run:r1', last: 3, events: [3].map(event) });
    expect(model.timelines.get('r1')?.map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    expect(lastSeq(model, 'r1')).toBe(4);
    expect(lastSeq(model, 'none')).toBe(0);
  });

  it('is bounded', () => {
    const model = emptyModel();
    addEvents(
      model,
      'r1',
      Array.from({ length: EVENTS_MAX + 50 }, (_, at) => event(at + 1)),
    );
    expect(model.timelines.get('r1')).toHaveLength(EVENTS_MAX);
    expect(lastSeq(model, 'r1')).toBe(EVENTS_MAX + 50);
  });
});

describe('queues', () => {
  it('ignores older readings', () => {
    const model = emptyModel();
    const reading = (waiting: number) => ({
      queues: [{ queue: 'q', waiting, in_flight: 0, delayed: 0, oldest_s: null }],
      dead_letters: waiting,
      newest_letter: null,
    });
    expect(model.summary.deadLetters).toBeNull();
    reduce(model, { type: 'state', topic: 'queues', version: 10, final: false, state: reading(1) });
    setQueues(model, reading(9), 9);
    expect(model.queues.get('q')?.waiting).toBe(1);
    expect(model.summary.deadLetters).toBe(1);
  });
});

describe('workers', () => {
  it('are those of the newest list', () => {
    const model = emptyModel();
    const listed = (version: number, ...ids: string[]): ServerFrame => ({
      type: 'state',
      topic: 'workers',
      version,
      final: false,
      state: { workers: ids.map((id) => ({ id }) as WorkerShown) },
    });
    reduce(model, listed(2, 'a', 'b'));
    reduce(model, listed(1, 'c'));
    expect([...model.workers.keys()]).toEqual(['a', 'b']);
    reduce(model, listed(3, 'b', 'd'));
    expect([...model.workers.keys()]).toEqual(['b', 'd']);
  });
});

describe('tasks', () => {
  const task = (over: Partial<TaskShown>): TaskShown => ({
    id: 't1',
    kind: 'export',
    state: 'running',
    brand: 'nike',
    run: null,
    created_at: '2026-01-01T00:00:00Z',
    ended_at: null,
    result: {},
    ...over,
  });

  it('stay ended, whatever late answer of the API says', () => {
    const model = emptyModel();
    const state = task({ state: 'done', ended_at: '2026-01-01T00:01:00Z' });
    setTask(model, task({}));
    reduce(model, { type: 'state', topic: 'task:t1', version: 3, final: true, state });
    setTask(model, task({}));
    expect(model.tasks.get('t1')?.state).toBe('done');
    reduce(model, { type: 'state', topic: 'task:t1', version: 3, final: true, state: null });
    expect(model.tasks.has('t1')).toBe(false);
  });
});

describe('limits', () => {
  const phase = (paused: boolean): PhaseLimit => ({
    phase: 'acquire',
    paused,
    concurrency: null,
    changed_at: null,
    changed_by: null,
    paused_at: null,
    paused_by: null,
  });
  const host = (name: string): HostLimit => ({
    host: name,
    paused: true,
    concurrency: null,
    per_second: null,
    changed_at: '2026-01-01T00:00:00Z',
    changed_by: 'key:anna',
    paused_at: null,
    paused_by: null,
  });

  it('are those of the newest state, whole', () => {
    const model = emptyModel();
    const put = (version: number, paused: boolean, ...hosts: string[]): void =>
      reduce(model, {
        type: 'state',
        topic: 'limits',
        version,
        final: false,
        state: { phases: [phase(paused)], hosts: hosts.map(host) },
      });
    put(2, true, 'a.example', 'b.example');
    expect([...model.hosts.keys()]).toEqual(['a.example', 'b.example']);
    put(3, false, 'b.example');
    put(1, true, 'c.example');
    expect(model.phases.get('acquire')?.paused).toBe(false);
    expect([...model.hosts.keys()]).toEqual(['b.example']);
  });

  it('name who set them as people do', () => {
    expect(['key:anna', 'oidc:email:a@b.example', 'local', null].map(who)).toEqual([
      'anna',
      'a@b.example',
      'a user of this computer',
      'an operator',
    ]);
  });

  it.each([
    ['Images.Example.com', 'images.example.com'],
    [' https://images.example.com:8080/a?b ', 'images.example.com'],
    ['no host', null],
    ['', null],
  ])('are of the host that %j means', (text, host) => {
    expect(hostOf(text)).toBe(host);
  });

  it('come with the traffic of all workers that are alive', () => {
    const worker = (alive: boolean, requests: number): WorkerShown =>
      ({ alive, hosts: [{ host: 'a', requests, waiting: 1 }] }) as unknown as WorkerShown;
    const found = trafficOf([worker(true, 2), worker(true, 3), worker(false, 9)]);
    expect([...found]).toEqual([['a', { requests: 5, waiting: 2 }]]);
  });
});

describe('frames', () => {
  it.each(['{', '[]', '{"type":"later"}', 'null', '3', '{"kind":"state"}'])(
    '%s is none',
    (text) => {
      expect(readFrame(text)).toBeNull();
    },
  );
  it('reads those that are known', () => {
    expect(readFrame('{"type":"pong"}')).toEqual({ type: 'pong' });
  });
});
