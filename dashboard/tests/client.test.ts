import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const storage = { getItem: () => null, setItem() {}, removeItem() {} };

describe('a 401', () => {
  beforeEach(() => {
    vi.resetModules();
    vi.stubGlobal('sessionStorage', storage);
    vi.stubGlobal('location', { origin: 'https://triptych.example' });
  });
  afterEach(() => vi.unstubAllGlobals());

  async function refusedWith(body: string, kind: string) {
    const answer = new Response(body, { status: 401, headers: { 'content-type': kind } });
    vi.stubGlobal('fetch', () => Promise.resolve(answer));
    const { ask } = await import('../src/api/client');
    const { session } = await import('../src/session.svelte');
    await expect(ask('https://triptych.example/api/v1/me')).rejects.toThrow();
    return session;
  }

  it('of the server asks for a key', async () => {
    const session = await refusedWith('{"detail":"Unknown."}', 'application/problem+json');
    expect([session.refused, session.elsewhere]).toEqual(['Unknown.', false]);
  });

  it('of a load balancer leads to its sign-in', async () => {
    const session = await refusedWith('<html>401</html>', 'text/html');
    expect([session.refused, session.elsewhere]).toEqual(['Your session has ended.', true]);
  });
});
