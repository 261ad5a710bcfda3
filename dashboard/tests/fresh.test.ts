import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { BrandState } from '../src/live/protocol';

const ORIGIN = 'https://triptych.example';
const storage = { getItem: () => null, setItem() {}, removeItem() {} };
const brand = (run: string, version: number): BrandState => ({
  name: 'nike',
  source: null,
  state: 'committed',
  phase: 'over',
  current_run: run,
  assets: 1,
  latest: null,
  version,
});

describe('a read', () => {
  let asked: string[] = [];
  let lag = false;

  beforeEach(() => {
    vi.resetModules();
    asked = [];
    lag = false;
    vi.stubGlobal('sessionStorage', storage);
    vi.stubGlobal('location', { origin: ORIGIN });
    vi.stubGlobal('fetch', (request: Request) => {
      asked.push(`${request.method} ${request.url.slice(ORIGIN.length)}`);
      const headers = new Headers({ 'content-type': 'application/json' });
      if (lag && !request.url.includes('fresh=')) headers.set('Snapshot-Lag', '2');
      return Promise.resolve(new Response('{}', { headers }));
    });
  });
  afterEach(() => vi.unstubAllGlobals());

  async function ask(path: string, init?: RequestInit): Promise<void> {
    const client = await import('../src/api/client');
    await client.ask(`${ORIGIN}${path}`, init);
  }

  it('is taken as it comes if it shows all', async () => {
    await ask('/api/v1/brands/nike/assets?limit=5');
    expect(asked).toEqual(['GET /api/v1/brands/nike/assets?limit=5']);
  });

  it('is asked of Postgres if it does not', async () => {
    lag = true;
    await ask('/api/v1/brands/nike/assets?limit=5');
    expect(asked).toEqual([
      'GET /api/v1/brands/nike/assets?limit=5',
      'GET /api/v1/brands/nike/assets?limit=5&fresh=true',
    ]);
  });

  it('is asked of Postgres after live status has told of a commit', async () => {
    const { emptyModel, setBrand } = await import('../src/live/reducer');
    const { SETTLED_MS } = await import('../src/api/fresh');
    const now = vi.spyOn(performance, 'now').mockReturnValue(1_000);
    const model = emptyModel();
    setBrand(model, brand('a', 1));
    setBrand(model, brand('a', 2));
    await ask('/api/v1/brands/nike/insights');
    setBrand(model, brand('b', 3));
    await ask('/api/v1/brands/nike/insights');
    now.mockReturnValue(1_000 + SETTLED_MS);
    await ask('/api/v1/brands/nike/insights');
    const path = 'GET /api/v1/brands/nike/insights';
    expect(asked).toEqual([path, `${path}?fresh=true`, path]);
    now.mockRestore();
  });

  it('of anything else takes no such parameter', async () => {
    const { noteChange } = await import('../src/api/fresh');
    noteChange();
    const others = ['runs', 'search?q=a', 'brands/nike/snapshots/a/diff/b', 'assets/a/similar'];
    for (const path of others) await ask(`/api/v1/${path}`);
    await ask('/api/v1/brands/nike', { method: 'DELETE' });
    expect(asked.filter((each) => each.includes('fresh'))).toEqual([]);
    const reads = [
      'brands',
      'brands/a%20b',
      'brands/a/map',
      'brands/a/snapshots/b',
      'assets/a',
      'facets',
    ];
    for (const path of reads) await ask(`/api/v1/${path}`);
    expect(asked.slice(5)).toEqual(reads.map((path) => `GET /api/v1/${path}?fresh=true`));
  });
});
