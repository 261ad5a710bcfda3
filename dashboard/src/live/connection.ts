/**
 * One WebSocket for the whole page: it subscribes to what views ask for, reconnects after a cut,
 * and detects a connection that is dead without having been closed, as after a laptop's sleep.
 */

import { type ClientFrame, type ServerFrame, type Topic, readFrame } from './protocol';

export type Link = 'connecting' | 'live' | 'reconnecting' | 'stale';

export interface ConnectionOptions {
  url: string;
  protocols: () => string[];
  /** The seq of the last event that is known of a run. */
  lastSeq: (run: string) => number;
  onFrame: (frame: ServerFrame) => void;
  onLink: (link: Link) => void;
  /** Several attempts were refused: a key may be missing. */
  onRefused: () => void;
}

const PROTOCOL = 'triptych.v1';
const PAUSE_MIN_MS = 250;
const PAUSE_MAX_MS = 8_000;
/** Disconnected for longer than this, what is shown counts as stale. */
const STALE_MS = 15_000;
/** After this long without a frame the server is pinged. */
const SILENT_MS = 30_000;
const ANSWER_MS = 5_000;
const REFUSALS = 3;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #subscriptions = new Map<Topic, { users: number; timeline: boolean }>();
  #socket: WebSocket | null = null;
  #open = false;
  #closed = false;
  /** What is shown is stale, whatever the next attempt brings. */
  #old = false;
  #failures = 0;
  #heardAt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #stale: ReturnType<typeof setTimeout> | undefined;
  #answer: ReturnType<typeof setTimeout> | undefined;
  #silence: ReturnType<typeof setInterval> | undefined;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  start(): void {
    this.#closed = false;
    this.#connect();
    this.#silence ??= setInterval(() => {
      if (this.#open && Date.now() - this.#heardAt > SILENT_MS) this.probe();
    }, SILENT_MS / 2);
    addEventListener('online', this.#wake);
    addEventListener('offline', this.#lost);
    document.addEventListener('visibilitychange', this.#wake);
  }

  stop(): void {
    this.#closed = true;
    clearInterval(this.#silence);
    this.#silence = undefined;
    for (const timer of [this.#retry, this.#stale, this.#answer]) clearTimeout(timer);
    this.#stale = undefined;
    this.#old = false;
    removeEventListener('online', this.#wake);
    removeEventListener('offline', this.#lost);
    document.removeEventListener('visibilitychange', this.#wake);
    this.#drop();
  }

  /** Subscribe to a topic until the returned function is called. */
  subscribe(topic: Topic, { timeline = false } = {}): () => void {
    const known = this.#subscriptions.get(topic);
    const entry = { users: (known?.users ?? 0) + 1, timeline: timeline || !!known?.timeline };
    this.#subscriptions.set(topic, entry);
    if (!known || entry.timeline !== known.timeline) this.#sendSubscribe([topic]);
    let over = false;
    return () => {
      if (over) return;
      over = true;
      const left = this.#subscriptions.get(topic);
      if (!left) return;
      left.users -= 1;
      if (left.users > 0) return;
      this.#subscriptions.delete(topic);
      if (this.#open) this.#say({ type: 'unsubscribe', topics: [topic] });
    };
  }

  /** Send a ping; without an answer in time, reconnect. */
  probe(): void {
    if (!this.#open) return;
    this.#say({ type: 'ping' });
    clearTimeout(this.#answer);
    this.#answer = setTimeout(() => this.#again(), ANSWER_MS);
  }

  #wake = (): void => {
    if (document.visibilityState !== 'visible' || this.#closed) return;
    if (this.#open) this.probe();
    else this.#connect();
  };

  #lost = (): void => {
    if (!this.#closed) this.#again();
  };

  #connect(): void {
    clearTimeout(this.#retry);
    this.#drop();
    const socket = new WebSocket(this.#options.url, [PROTOCOL, ...this.#options.protocols()]);
    this.#socket = socket;
    socket.onmessage = ({ data }) => {
      this.#heardAt = Date.now();
      clearTimeout(this.#answer);
      const frame = typeof data === 'string' ? readFrame(data) : null;
      if (!frame) return;
      if (frame.type === 'hello') this.#opened();
      this.#options.onFrame(frame);
    };
    socket.onclose = () => this.#again();
  }

  #opened(): void {
    this.#open = true;
    this.#failures = 0;
    this.#old = false;
    clearTimeout(this.#stale);
    this.#stale = undefined;
    this.#sendSubscribe([...this.#subscriptions.keys()]);
    this.#options.onLink('live');
  }

  #again(): void {
    const wasOpen = this.#open;
    this.#drop();
    if (this.#closed) return;
    if (!wasOpen) this.#failures += 1;
    this.#stale ??= setTimeout(() => this.#age(), STALE_MS);
    if (!this.#old && (wasOpen || this.#failures === 1)) this.#options.onLink('reconnecting');
    if (this.#failures === REFUSALS) this.#options.onRefused();
    const longest = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** this.#failures);
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), PAUSE_MIN_MS + Math.random() * longest);
  }

  #age(): void {
    this.#old = true;
    this.#options.onLink('stale');
  }

  #drop(): void {
    this.#open = false;
    clearTimeout(this.#answer);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #sendSubscribe(topics: Topic[]): void {
    if (!this.#open || topics.length === 0) return;
    this.#say({
      type: 'subscribe',
      topics: topics.map((topic) =>
        this.#subscriptions.get(topic)?.timeline && topic.startsWith('run:')
          ? { topic, after: this.#options.lastSeq(topic.slice(4)) }
          : { topic },
      ),
    });
  }

  #say(frame: ClientFrame): void {
    this.#socket?.send(JSON.stringify(frame));
  }
}
