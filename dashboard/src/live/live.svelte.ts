/** The page's one model and its one connection, for views to draw on. */

import { SvelteMap } from 'svelte/reactivity';
import { api } from '../api/client';
import { session } from '../session.svelte';
import { Connection, type Link } from './connection';
import type { ServerFrame, Topic } from './protocol';
import { type LiveModel, emptyModel, lastSeq, reduce } from './reducer';

/** What a topic's last state is handed to: null when the thing is no longer there. */
type Ending = (state: unknown) => void;

class Live {
  readonly #told = $state(emptyModel().told);
  readonly model: LiveModel = {
    ...emptyModel(),
    brands: new SvelteMap(),
    runs: new SvelteMap(),
    timelines: new SvelteMap(),
    paces: new SvelteMap(),
    tasks: new SvelteMap(),
    queues: new SvelteMap(),
    workers: new SvelteMap(),
    told: this.#told,
  };
  link = $state<Link>('connecting');
  /** Milliseconds: ticks once a second, for "3 min. ago" and the like. */
  now = $state(Date.now());
  heardAt = $state(0);
  server = $state('');
  readonly #connection: Connection;
  readonly #followed = new Map<string, { stop: () => void; told: Ending }>();

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

  /** Follow what has an end until it has come, whatever view is open by then. */
  follow(topic: `run:${string}` | `task:${string}`, told: Ending): void {
    if (!this.#followed.has(topic)) this.#followed.set(topic, { stop: this.want(topic), told });
  }

  #take(frame: ServerFrame): void {
    this.heardAt = Date.now();
    if (frame.type === 'hello') this.server = frame.server;
    reduce(this.model, frame);
    if (frame.type === 'state' && frame.final) this.#end(frame.topic, frame.state);
  }

  #end(topic: string, state: unknown): void {
    const followed = this.#followed.get(topic);
    this.#followed.delete(topic);
    followed?.stop();
    followed?.told(state);
  }
}

export const live = new Live();
