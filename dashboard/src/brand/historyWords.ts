/** What a brand's history says, in words of the people who look after the brand. */

import type { HistoryEntryShown, RunKind, RunShown } from '../api/types';
import { count, plural, spoken, when } from '../format';

export type Tone = 'good' | 'bad' | 'plain' | 'action';

export interface Said {
  text: string;
  /** More about it. */
  detail?: string;
  tone: Tone;
}

const BEGAN: Record<RunKind, string> = {
  full: 'A run began',
  add: 'A run that adds pictures began',
  reembed: 'A run that embeds the pictures again began',
  restore: 'A run that restores an older snapshot began',
};

/** What operators do, after their name. */
const DID: Record<string, string> = {
  start: 'started a run',
  put_brand: 'set the source and the schedule',
  pause: 'paused the run',
  resume: 'resumed the run',
  cancel: 'cancelled the run',
  publish: 'published the held run',
  discard: 'discarded the held run',
  redrive: 'retried failed items',
  restore: 'restored an older snapshot',
  reembed: 'had the pictures embedded again',
  ai: 'ran the AI phase again',
  export: 'made an export',
  delete_brand: 'deleted the brand',
};

/** Who did it: `key:studio` is the key that was named studio. */
export function who(actor: string): string {
  if (actor === 'local') return 'Somebody on the server';
  return actor.replace(/^(key|oidc:email|oidc:sub):/, '');
}

function committed(run: RunShown | null): Said {
  if (!run) return { text: 'A snapshot was published', tone: 'good' };
  const parts = [
    run.added ? `${count(run.added)} added` : '',
    run.changed ? `${count(run.changed)} changed` : '',
    run.removed ? `${count(run.removed)} removed` : '',
    run.kept ? `${count(run.kept)} kept` : '',
    run.failed ? `${count(run.failed)} failed` : '',
  ].filter(Boolean);
  return { text: 'A snapshot was published', detail: parts.join(', '), tone: 'good' };
}

function acted(entry: HistoryEntryShown): Said {
  const { actor = '', action = '' } = entry.action ?? {};
  const text = `${who(actor)} ${DID[action] ?? `did: ${spoken(action)}`}`;
  if (action !== 'put_brand') return { text, tone: 'action' };
  const words = entry.schedule_words;
  return { text, detail: words ? `Schedule: ${words}` : 'No schedule', tone: 'action' };
}

export function said(entry: HistoryEntryShown): Said {
  const { run, kind } = entry;
  const detail = run?.reason ?? undefined;
  switch (kind) {
    case 'opened':
      return { text: BEGAN[run?.kind ?? 'full'], tone: 'plain' };
    case 'committed':
      return committed(run);
    case 'restored': {
      const back = (run?.added ?? 0) + (run?.kept ?? 0) + (run?.changed ?? 0);
      return { text: 'An older snapshot is back', detail: plural(back, 'asset'), tone: 'good' };
    }
    case 'held':
      return { text: 'The run is held: it waits for a decision', detail, tone: 'bad' };
    case 'failed':
      return { text: 'The run failed', detail, tone: 'bad' };
    case 'cancelled':
      return { text: 'The run was stopped', detail, tone: 'plain' };
    case 'removed':
      return {
        text: run
          ? `The snapshot of ${when(run.ended_at ?? run.created_at)} is no longer kept`
          : 'A snapshot is no longer kept',
        tone: 'plain',
      };
    case 'action':
      return acted(entry);
  }
}

/** The days of a list that is in order of time, each with its entries. */
export function byDay<T extends { at: string }>(entries: readonly T[]): [string, T[]][] {
  const days: [string, T[]][] = [];
  for (const entry of entries) {
    const day = new Date(entry.at).toDateString();
    const last = days.at(-1);
    if (last?.[0] === day) last[1].push(entry);
    else days.push([day, [entry]]);
  }
  return days;
}
