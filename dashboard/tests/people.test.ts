import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

import text from '../../docs/glossary.md?raw';
import type { BrandShown, EventShown } from '../src/api/types';
import { attention, failedIsNews } from '../src/home/attention';
import { Covers } from '../src/home/covers.svelte';
import { arranged } from '../src/home/listing';
import type { BrandState } from '../src/live/protocol';
import { type Arrival, Arrivals, PAUSE_MS } from '../src/run/arrivals.svelte';
import { entries } from '../src/run/timeline';
import { WORDS, plainReason } from '../src/words';
import { run } from './run';

// What the modules read when they are loaded, which a browser has.
vi.hoisted(() => {
  vi.stubGlobal('sessionStorage', { getItem: () => null });
  vi.stubGlobal('location', { origin: 'https://triptych.example', pathname: '/', search: '' });
  vi.stubGlobal('addEventListener', () => undefined);
});

const brand = (over: Partial<BrandShown> = {}): BrandShown =>
  ({
    name: 'nike',
    current_run: 'r1',
    latest: run(),
    assets: 3,
    covers: [],
    ...over,
  }) as BrandShown;

describe('what needs somebody', () => {
  const committed = run({ state: 'committed', over: true, failed: 2, ai_state: 'done' });

  it('is a run that failed, is held, has stalled, or whose AI phase failed', () => {
    const says = (latest: ReturnType<typeof run>) => attention(brand({ latest }));
    expect(says(run())).toBeNull();
    expect(says(committed)).toBeNull();
    expect(says(run({ state: 'cancelled' }))).toBeNull();
    expect(says(run({ stalled: true }))).toBe('Stalled');
    expect(says(run({ state: 'held' }))).toContain('Held');
    expect(says(run({ ...committed, ai_state: 'failed' }))).toContain('AI failed');
    expect(says(run({ state: 'failed' }))).toBe('The newest run failed');
    expect(attention(brand({ current_run: null, latest: run({ state: 'failed' }) }))).toBe(
      'Failed',
    );
    expect(attention(brand({ latest: null }))).toBeNull();
  });

  it('is no failed item of a run that has committed', () => {
    expect(failedIsNews(committed)).toBe(false);
    expect(failedIsNews(run({ state: 'failed', failed: 2 }))).toBe(true);
  });

  it('can be listed', () => {
    const brands = [brand({ name: 'a' }), brand({ name: 'b', latest: run({ stalled: true }) })];
    const found = arranged(brands, { text: '', state: 'attention', order: 'name' });
    expect(found.map(({ name }) => name)).toEqual(['b']);
  });
});

describe('covers', () => {
  it('are asked for once a snapshot, and once more when the AI phase has seen it', async () => {
    const asked: string[] = [];
    let answer = brand();
    const covers = new Covers((name) => {
      asked.push(name);
      return Promise.resolve(answer);
    });
    covers.put(brand({ covers: ['a'] }));
    covers.keep([brand(), brand({ name: 'new', current_run: null, latest: run() })]);
    expect(asked).toEqual([]);
    const latest = run({ id: 'r2', state: 'committed', ai_state: 'queued' });
    const second = brand({ current_run: 'r2', latest });
    answer = { ...second, covers: ['b'] };
    covers.keep([second]);
    covers.keep([second]);
    await vi.waitFor(() => expect(covers.of('nike')).toEqual(['b']));
    expect(asked).toEqual(['nike']);
    covers.keep([brand({ current_run: 'r2', latest: run({ id: 'r3' }) })]);
    expect(asked).toEqual(['nike']);
    const seen: BrandState = { ...second, latest: { ...latest, ai_state: 'done' } };
    answer = { ...answer, ...seen, covers: ['c'] };
    covers.keep([seen]);
    await vi.waitFor(() => expect(covers.of('nike')).toEqual(['c']));
    covers.keep([seen]);
    expect(asked).toEqual(['nike', 'nike']);
  });

  it('of many brands are asked for a few at a time', async () => {
    let [at, most] = [0, 0];
    const covers = new Covers(async (name) => {
      most = Math.max(most, ++at);
      await Promise.resolve();
      at -= 1;
      return brand({ name, covers: [name] });
    });
    const brands = Array.from({ length: 20 }, (_, number) => brand({ name: `b${number}` }));
    covers.keep(brands);
    await vi.waitFor(() => expect(covers.of('b19')).toEqual(['b19']));
    expect(most).toBe(3);
  });
});

describe('pictures of a run', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('are asked for when more are done, at most once a second, and never else', async () => {
    let asked = 0;
    const picture = (key: string) => ({ key }) as Arrival;
    const arrivals = new Arrivals('r1', () => Promise.resolve([picture(`p${++asked}`)]));
    arrivals.tell(0);
    await vi.advanceTimersByTimeAsync(10 * PAUSE_MS);
    expect(asked).toBe(0);
    for (let done = 1; done <= 9; done++) {
      arrivals.tell(done);
      await vi.advanceTimersByTimeAsync(PAUSE_MS / 10);
    }
    expect(asked).toBe(1);
    await vi.advanceTimersByTimeAsync(PAUSE_MS);
    expect(asked).toBe(2);
    expect(arrivals.pictures).toEqual([picture('p2')]);
    await vi.advanceTimersByTimeAsync(60 * PAUSE_MS);
    expect(asked).toBe(2);
    arrivals.tell(10);
    arrivals.tell(11);
    arrivals.stop();
    await vi.advanceTimersByTimeAsync(60 * PAUSE_MS);
    expect(asked).toBe(3);
  });

  it('stay when the run has none to show any more', async () => {
    const answers: Arrival[][] = [[{ key: 'a' } as Arrival], []];
    const arrivals = new Arrivals('r1', () => Promise.resolve(answers.shift() ?? []));
    arrivals.tell(1);
    await vi.advanceTimersByTimeAsync(PAUSE_MS);
    arrivals.tell(2);
    await vi.advanceTimersByTimeAsync(PAUSE_MS);
    expect(arrivals.pictures.map(({ key }) => key)).toEqual(['a']);
  });
});

describe('a timeline', () => {
  let seq = 0;
  const event = (kind: string, data: EventShown['data'] = {}): EventShown => ({
    seq: ++seq,
    at: '2026-01-01T00:00:00Z',
    kind,
    data,
  });

  it('folds what happens all the time, and keeps every event', () => {
    const events = [
      event('opened', { kind: 'full' }),
      event('page', { rows: 10, refused: 1 }),
      event('failures', { not_found: 2 }),
      event('page', { rows: 10 }),
      event('failures', { timeout: 1, not_found: 1 }),
      event('host_down', { host: 'https://a' }),
      event('host_down', { host: 'https://a' }),
      event('page', { rows: 5 }),
      event('sealed', { expected: 25 }),
      event('committed'),
    ];
    const folded = entries(events);
    expect(folded.map(({ text }) => text)).toEqual([
      'Committed',
      'Source read completely: 25 URLs',
      'Read 3 pages of 25 rows, 1 refused',
      '1 host did not answer: their URLs wait',
      'Failed: 3 not found, 1 timeout',
      'Opened, to replace the snapshot',
    ]);
    expect(folded.map(({ important }) => important)).toEqual([true, true, ...Array(4).fill(false)]);
    const kept = folded.flatMap((entry) => entry.events.map((one) => one.seq));
    expect(kept.sort((a, b) => a - b)).toEqual(events.map((one) => one.seq));
  });

  it('says a single event as it is, and never folds what matters', () => {
    const events = [event('page', { rows: 1 }), event('ai_done', { steps: 6 }), event('ai_done')];
    expect(entries(events).map(({ text }) => text)).toEqual([
      'AI done: 0 steps',
      'AI done: 6 steps',
      'Read a page of 1 row',
    ]);
  });
});

describe('words', () => {
  it('are in the glossary', () => {
    const glossary = text.toLowerCase();
    for (const { name } of Object.values(WORDS))
      expect(glossary, name).toContain(`| ${name.toLowerCase()} |`);
  });

  it('of a reason are those of people', () => {
    expect(plainReason('too_many_failures: 6 of 6')).toBe('Too many failures: 6 of 6');
    expect(plainReason('discarded: by me')).toBe('discarded: by me');
  });
});
