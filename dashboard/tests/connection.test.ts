import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Connection, type Link } from '../src/live/connection';

/** A WebSocket that does what a test tells it to. */
class Wire {
  static made: Wire[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: (() => void) | null = null;
  said: string[] = [];
  constructor() {
    Wire.made.push(this);
  }
  send(text: string): void {
    this.said.push(text);
  }
  close(): void {}
  hello(): void {
    this.onmessage?.({ data: '{"type":"hello","protocol":1,"server":"0","ping_s":25}' });
  }
}

const last = (): Wire => Wire.made.at(-1)!;
const nowhere = { addEventListener() {}, removeEventListener() {}, visibilityState: 'visible' };

describe('connection', () => {
  let links: Link[] = [];
  let connection: Connection;

  beforeEach(() => {
    vi.useFakeTimers();
    vi.stubGlobal('WebSocket', Wire);
    vi.stubGlobal('document', nowhere);
    vi.stubGlobal('addEventListener', () => undefined);
    vi.stubGlobal('removeEventListener', () => undefined);
    [links, Wire.made] = [[], []];
    connection = new Connection({
      url: 'ws://x/ws',
      protocols: () => [],
      lastSeq: () => 7,
      onFrame: () => undefined,
      onLink: (link) => links.push(link),
      onRefused: () => undefined,
    });
    connection.start();
    last().hello();
  });
  afterEach(() => {
    connection.stop();
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  it('stays stale when an attempt that hung fails after all', () => {
    last().onclose?.();
    expect(links.at(-1)).toBe('reconnecting');
    vi.advanceTimersByTime(16_000);
    expect(links.at(-1)).toBe('stale');
    last().onclose?.();
    expect(links.at(-1)).toBe('stale');
    vi.advanceTimersByTime(9_000);
    last().hello();
    expect(links.at(-1)).toBe('live');
  });

  it('grows stale once more after it was stopped and started', () => {
    last().onclose?.();
    vi.advanceTimersByTime(16_000);
    connection.stop();
    connection.start();
    last().onclose?.();
    expect(links.at(-1)).toBe('reconnecting');
    vi.advanceTimersByTime(16_000);
    expect(links.at(-1)).toBe('stale');
  });

  it('finds a connection that is silent, and subscribes anew to all that is wanted', () => {
    connection.subscribe('brands');
    connection.subscribe('run:r1', { timeline: true });
    expect(last().said.join()).toContain('"after":7');
    vi.advanceTimersByTime(60_000);
    expect(Wire.made[0]!.said.join()).toContain('ping');
    expect(Wire.made.length).toBeGreaterThan(1);
    last().hello();
    const topics = JSON.parse(last().said[0]!) as { topics: unknown };
    expect(topics.topics).toEqual([{ topic: 'brands' }, { topic: 'run:r1', after: 7 }]);
  });
});
