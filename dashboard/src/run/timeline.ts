/** A run's timeline, folded: what happens all the time takes one line, what matters stands out. */

import type { EventShown } from '../api/types';
import { count, plural, spoken } from '../format';
import { type EventText, describeEvent, failuresOf } from './events';

export interface Entry extends EventText {
  /** Newest first; more than one if they were folded. */
  events: readonly EventShown[];
  /** Stands out: a run has few of these, and they say where it is. */
  important: boolean;
}

/** Kinds of which a run may have thousands. */
const ROUTINE = new Set(['page', 'list', 'failures', 'resent', 'host_down', 'host_back']);
const IMPORTANT = new Set([
  'sealed',
  'stalled',
  'expired',
  'committed',
  'failed',
  'held',
  'cancelled',
  'ai_done',
  'ai_failed',
]);

/** Newest first. All events of a routine kind are one entry, where the newest of them is. */
export function entries(events: readonly EventShown[]): Entry[] {
  const folded = new Map<string, EventShown[]>();
  const all: EventShown[][] = [];
  for (const event of events.toReversed()) {
    const there = folded.get(event.kind);
    if (there) {
      there.push(event);
      continue;
    }
    const own = [event];
    if (ROUTINE.has(event.kind)) folded.set(event.kind, own);
    all.push(own);
  }
  return all.map(entry);
}

function entry(events: EventShown[]): Entry {
  const [newest] = events as [EventShown];
  const says = events.length === 1 ? describeEvent(newest) : summary(newest.kind, events);
  return { ...says, events, important: IMPORTANT.has(newest.kind) };
}

const SUMS: Record<string, (events: readonly EventShown[]) => EventText> = {
  page: (events) => {
    const refused = sum(events, 'refused');
    const also = refused ? `, ${count(refused)} refused` : '';
    const rows = plural(sum(events, 'rows'), 'row');
    return { text: `Read ${plural(events.length, 'page')} of ${rows}${also}`, tone: 'gather' };
  },
  list: (events) => ({ text: `Opened ${plural(events.length, 'file')}`, tone: 'gather' }),
  failures: (events) => {
    const reasons = Object.entries(failuresOf(events)).sort(([, a], [, b]) => b - a);
    const parts = reasons.map(([reason, times]) => `${count(times)} ${spoken(reason)}`);
    return { text: `Failed: ${parts.join(', ')}`, tone: 'fail' };
  },
  resent: (events) => ({
    text: `${plural(sum(events, 'items'), 'message')} sent again, ${plural(events.length, 'time')}`,
    tone: 'plain',
  }),
  host_down: (events) => ({
    text: `${plural(hosts(events), 'host')} did not answer: their URLs wait`,
    tone: 'fail',
  }),
  host_back: (events) => ({
    text: `${plural(hosts(events), 'host')} answered again`,
    tone: 'acquire',
  }),
};

function summary(kind: string, events: readonly EventShown[]): EventText {
  const sums = SUMS[kind];
  if (!sums) throw new Error(`Events of the kind ${kind} are not folded.`);
  return sums(events);
}

const sum = (events: readonly EventShown[], field: string): number =>
  events.reduce((whole, { data }) => whole + (Number(data[field]) || 0), 0);

const hosts = (events: readonly EventShown[]): number =>
  new Set(events.map(({ data }) => String(data['host']))).size;
