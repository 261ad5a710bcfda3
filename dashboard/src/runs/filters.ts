/** Which runs the page of runs shows: read from its address, asked of the API, held against a run. */

import type { RunKind, RunShown, RunState } from '../api/types';

export const STATES: Record<RunState, string> = {
  active: 'Running',
  held: 'Held',
  committed: 'Committed',
  failed: 'Failed',
  cancelled: 'Cancelled',
};

export const KINDS: Record<RunKind, string> = {
  full: 'Replaces the snapshot',
  add: 'Adds to the snapshot',
  reembed: 'Embeds it again',
  restore: 'Restores an older one',
};

export interface Filters {
  brand: string;
  states: readonly RunState[];
  kind: RunKind | '';
  /** Days as the reader's calendar has them, `2026-03-29`; both are part of the span. */
  since: string;
  until: string;
  /** Only what does not go on by itself: stalled runs and held ones. */
  waiting: boolean;
}

export interface Asked {
  brand?: string;
  state?: RunState[];
  kind?: RunKind[];
  since?: string;
  until?: string;
  stalled?: boolean;
  held?: boolean;
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const isState = (text: string): text is RunState => text in STATES;
const isKind = (text: string): text is RunKind => text in KINDS;

export function readFilters(query: URLSearchParams): Filters {
  const kind = query.get('kind') ?? '';
  const day = (name: string): string => {
    const text = query.get(name) ?? '';
    return DAY.test(text) && !Number.isNaN(Date.parse(text)) ? text : '';
  };
  return {
    brand: query.get('brand') ?? '',
    states: (query.get('state') ?? '').split(',').filter(isState),
    kind: isKind(kind) ? kind : '',
    since: day('since'),
    until: day('until'),
    waiting: query.get('waiting') === 'yes',
  };
}

/** When a day begins for the reader: `later` days after it. */
function beginning(day: string, later = 0): Date {
  const [year = 0, month = 1, date = 1] = day.split('-').map(Number);
  return new Date(year, month - 1, date + later);
}

/** What the API is asked for. */
export function asked(filters: Filters): Asked {
  return {
    ...(filters.brand && { brand: filters.brand }),
    ...(filters.states.length && { state: [...filters.states] }),
    ...(filters.kind && { kind: [filters.kind] }),
    ...(filters.since && { since: beginning(filters.since).toISOString() }),
    ...(filters.until && { until: beginning(filters.until, 1).toISOString() }),
    ...(filters.waiting && { stalled: true, held: true }),
  };
}

/** Whether the API would list a run, as it is now. */
export function takes(filters: Filters, run: RunShown): boolean {
  const { since, until } = asked(filters);
  const opened = Date.parse(run.created_at);
  return (
    (!filters.brand || run.brand === filters.brand) &&
    (!filters.states.length || filters.states.includes(run.state)) &&
    (!filters.kind || run.kind === filters.kind) &&
    (!since || opened >= Date.parse(since)) &&
    (!until || opened < Date.parse(until)) &&
    (!filters.waiting || run.stalled || run.state === 'held')
  );
}

export const isFiltered = (filters: Filters): boolean => Object.keys(asked(filters)).length > 0;
