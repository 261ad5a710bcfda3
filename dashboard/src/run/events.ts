/** A run's timeline in words, and what can be counted from it. */

import type { EventShown, RunKind } from '../api/types';
import { clockTime, count, plural, spoken } from '../format';
import { plainReason } from '../words';

export interface EventText {
  text: string;
  tone: 'plain' | 'gather' | 'acquire' | 'ai' | 'fail';
}

const number = (value: unknown): number => (typeof value === 'number' ? value : 0);

export function describeEvent({ kind, data }: EventShown): EventText {
  switch (kind) {
    case 'opened':
      return { text: `Opened, ${KINDS[data['kind'] as RunKind] ?? 'a run'}`, tone: 'plain' };
    case 'page': {
      const refused = number(data['refused']);
      const also = refused ? `, ${count(refused)} refused` : '';
      return {
        text: `Read a page of ${plural(number(data['rows']), 'row')}${also}`,
        tone: 'gather',
      };
    }
    case 'list':
      return { text: listFound(data), tone: 'gather' };
    case 'sealed':
      return {
        text: `Source read completely: ${plural(number(data['expected']), 'URL')}`,
        tone: 'gather',
      };
    case 'failures': {
      const { skipped, ...others } = data;
      const also = skipped ? [`${plural(number(skipped), 'item')} skipped by an operator`] : [];
      if (!Object.keys(others).length) return { text: also.join(), tone: 'plain' };
      return { text: [failureCounts(others), ...also].join('. '), tone: 'fail' };
    }
    case 'stalled':
      return {
        text: `Stalled: nothing has moved since ${clockTime(String(data['since']))}`,
        tone: 'fail',
      };
    case 'resent':
      return { text: `${plural(number(data['items']), 'message')} sent again`, tone: 'plain' };
    case 'tried_now':
      return { text: `${plural(number(data['items']), 'item')} tried at once`, tone: 'plain' };
    case 'host_down':
      return { text: `${hostName(data)} does not answer: its URLs wait`, tone: 'fail' };
    case 'host_back':
      return { text: `${hostName(data)} answers again`, tone: 'acquire' };
    case 'redriven':
      return { text: 'Retries the failed items of an earlier run', tone: 'plain' };
    case 'expired':
      return {
        text: `Deadline: ${plural(number(data['timed_out']), 'item')} timed out`,
        tone: 'fail',
      };
    case 'committed':
      return { text: 'Committed', tone: 'acquire' };
    case 'failed':
      return { text: failedFor(data), tone: 'fail' };
    case 'held':
      return { text: heldFor(data), tone: 'fail' };
    case 'cancelled':
      return { text: cancelledFor(data), tone: 'fail' };
    case 'ai_done': {
      const failed = number(data['failed']);
      const also = failed ? `, ${count(failed)} failed` : '';
      return { text: `AI done: ${plural(number(data['steps']), 'step')}${also}`, tone: 'ai' };
    }
    case 'ai_failed':
      return { text: `AI failed: ${String(data['reason'] ?? '')}`, tone: 'fail' };
    default:
      return { text: PLAIN[kind] ?? spoken(kind), tone: kind.startsWith('ai_') ? 'ai' : 'plain' };
  }
}

function failedFor(data: Record<string, unknown>): string {
  return `Failed: ${plainReason(String(data['reason'] ?? 'unknown reason'))}`;
}

function cancelledFor(data: Record<string, unknown>): string {
  const reason = data['reason'];
  return reason && reason !== 'cancelled' ? `Cancelled: ${String(reason)}` : 'Cancelled';
}

/** Why a run is held, and what it would remove. */
function heldFor(data: Record<string, unknown>): string {
  const urls = (data['urls'] as string[] | undefined) ?? [];
  const more = number(data['removed']) - urls.length;
  const also = more > 0 ? ` and ${count(more)} more` : '';
  return `Held: ${String(data['reason'])}. To be removed: ${urls.join(', ')}${also}`;
}

/** What a file was found to be, and what was guessed about it. */
function listFound(data: Record<string, unknown>): string {
  const how = [data['encoding'], data['delimiter']].filter(Boolean).join(', ');
  const columns = (data['url_columns'] as string[] | undefined)?.join(', ');
  const notes = (data['notes'] as string[] | undefined) ?? [];
  const kind = `${String(data['name'])}: ${String(data['format'])}${how ? ` (${how})` : ''}`;
  return [columns ? `${kind}, URLs in ${columns}` : kind, ...notes].join('. ');
}

const KINDS: Record<RunKind, string> = {
  full: 'to replace the snapshot',
  add: 'to add to the snapshot',
  reembed: 'to compute the embeddings again',
  restore: 'to restore an older snapshot',
};
const PLAIN: Record<string, string> = {
  paused: 'Paused',
  resumed: 'Resumed',
  ai_requested: 'AI requested again',
  ai_started: 'AI started',
  ai_superseded: 'AI replaced by that of a newer commit',
};

/** A host without its scheme: `https://x` is x, `proxy http://x:3128` the proxy x:3128. */
function hostName(data: EventShown['data']): string {
  const host = String(data['host'] ?? 'A host');
  return host.replace(/^proxy /, 'The proxy ').replace(/https?:\/\//, '');
}

function failureCounts(data: EventShown['data']): string {
  const parts = Object.entries(data).map(
    ([reason, times]) => `${count(number(times))} ${spoken(reason)}`,
  );
  return `Failed: ${parts.join(', ')}`;
}

/** Failures by reason, as far as the timeline has them: rows that were refused are not in it. */
export function failuresOf(events: readonly EventShown[]): Record<string, number> {
  const sums: Record<string, number> = {};
  for (const event of events) {
    if (event.kind !== 'failures') continue;
    for (const [reason, times] of Object.entries(event.data))
      sums[reason] = (sums[reason] ?? 0) + number(times);
  }
  return sums;
}

/** How many steps the AI phase did, and in how many seconds; null if the timeline does not have it. */
export function aiDone(events: readonly EventShown[]): { steps: number; took: number } | null {
  const end = events.findLast(({ kind }) => kind === 'ai_done');
  const start = events.findLast(({ kind, seq }) => kind === 'ai_started' && seq < (end?.seq ?? 0));
  if (!end || !start) return null;
  return {
    steps: number(end.data['steps']),
    took: (Date.parse(end.at) - Date.parse(start.at)) / 1000,
  };
}
