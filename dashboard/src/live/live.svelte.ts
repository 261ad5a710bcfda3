/** The page's one model and its one connection, for views to draw on. */

import { SvelteMap } from 'svelte/reactivity';
import { api } from '../api/client';
import type { RunShown } from '../api/types';
import { session } from '../session.svelte';
import { Connection, type Link } from './connection';
import type { ServerFrame, Topic } from './protocol';
import { type LiveModel, emptyModel, lastSeq, reduce } from './reducer';

class Live {
  readonly model: LiveModel = {
    ...emptyModel(),
    brands: new SvelteMap(),
    runs: new SvelteMap(),
    timelines: new SvelteMap(),
    paces: new SvelteMap(),
    queues: new SvelteMap(),
  };
  link = $state<Link>('connecting');
  /** Milliseconds: ticks once a second, for "3 min. ago" and the like. */
  now = $state(Date.now());
  heardAt = $state(0);
  server = $state('');
  readonly #connection: Connection;
  readonly #enders = new Set<(run: RunShown) => void>();

  constructor() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    this.#connection = new Connection({
      url: `${scheme}://${location.host}/ws`,
      protocols: () => (session.key ? [`triptych.key.${session.key}`] : []),
      lastSeq: (run) => lastSeq(this.model, run),
      onFrame: (frame) => this.#take(frame),
      onLink: (link) => (this.link = link),
      // A browser is not told why a WebSocket is refused; the API tells.
      onRefused: () => void api.GET('/api/v1/me').catch(() => undefined),
    });
    setInterval(() => (this.now = Date.now()), 1000);
  }

  start(): void {
    this.link = 'connecting';
    this.#connection.start();
  }

  stop(): void {
    this.#connection.stop();
  }

  want(topic: Topic, options?: { timeline?: boolean }): () => void {
    return this.#connection.want(topic, options);
  }

  /** Be told of every run that ends, until what is returned is called. */
  onEnd(told: (run: RunShown) => void): () => void {
    this.#enders.add(told);
    return () => this.#enders.delete(told);
  }

  #take(frame: ServerFrame): void {
    this.heardAt = Date.now();
    if (frame.type === 'hello') this.server = frame.server;
    for (const run of reduce(this.model, frame)) for (const told of this.#enders) told(run);
  }
}

export const live = new Live();
