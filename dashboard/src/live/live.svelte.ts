/** The page's one model and its one connection, which all views share. */

import { SvelteMap } from 'svelte/reactivity';
import { api } from '../api/client';
import { session } from '../session.svelte';
import { Connection, type Link } from './connection';
import type { ServerFrame, Topic } from './protocol';
import { type LiveModel, emptyModel, lastSeq, reduce } from './reducer';

/** Receives a topic's last state: null when the thing no longer exists. */
type Ending = (state: unknown) => void;

class Live {
  readonly #summary = $state(emptyModel().summary);
  readonly model: LiveModel = {
    ...emptyModel(),
    brands: new SvelteMap(),
    runs: new SvelteMap(),
    timelines: new SvelteMap(),
    paces: new SvelteMap(),
    tasks: new SvelteMap(),
    queues: new SvelteMap(),
    workers: new SvelteMap(),
    phases: new SvelteMap(),
    hosts: new SvelteMap(),
    summary: this.#summary,
  };
  link = $state<Link>('connecting');
  /** Milliseconds: ticks once a second, for "3 min. ago" and the like. */
  now = $state(Date.now());
  heardAt = $state(0);
  server = $state('');
  readonly #connection: Connection;
  readonly #followed = new Map<string, { stop: () => void; onEnd: Ending }>();

  constructor() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    this.#connection = new Connection({
      url: `${scheme}://${location.host}/ws`,
      protocols: () => (session.key ? [`triptych.key.${session.key}`] : []),
      lastSeq: (run) => lastSeq(this.model, run),
      onFrame: (frame) => this.#take(frame),
      onLink: (link) => (this.link = link),
      // A browser does not learn why a WebSocket is refused; the API answers with the reason.
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

  subscribe(topic: Topic, options?: { timeline?: boolean }): () => void {
    return this.#connection.subscribe(topic, options);
  }

  /** Follow a run or task until it has ended, whatever view is open by then. */
  follow(topic: `run:${string}` | `task:${string}`, onEnd: Ending): void {
    if (!this.#followed.has(topic))
      this.#followed.set(topic, { stop: this.subscribe(topic), onEnd });
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
    followed?.onEnd(state);
  }
}

export const live = new Live();
