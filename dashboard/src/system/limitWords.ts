/** What phases and limits are called, and what goes on at hosts. */

import type { LimitedPhase, WorkerShown } from '../api/types';

interface PhaseWords {
  name: string;
  does: string;
  /** What waits while it is paused. */
  waits: string;
  queue: string;
}

export const PHASES: Record<LimitedPhase, PhaseWords> = {
  gather: {
    name: 'Gather',
    does: 'Reads sources and lists their URLs.',
    waits: 'New runs wait to be listed.',
    queue: 'brand-gather-queue',
  },
  acquire: {
    name: 'Acquire',
    does: 'Downloads, stores and embeds pictures.',
    waits: 'Pictures wait to be downloaded.',
    queue: 'url-process-queue',
  },
  ai: {
    name: 'AI',
    does: 'Analyses whole brands. Exports and deletions are done here, too.',
    waits: 'Analyses, exports and deletions wait.',
    queue: 'brand-ai-phase-queue',
  },
};
export const ORDER: readonly LimitedPhase[] = ['gather', 'acquire', 'ai'];

/** The most messages of a phase, or requests to a host, at a time; as the API has it. */
export const CONCURRENCY_MAX = 1_000;
export const PER_SECOND_MIN = 0.02;
export const PER_SECOND_MAX = 1_000;

/** A person's name as the audit log has it, without where it comes from. */
export function who(name: string | null): string {
  if (!name) return 'an operator';
  if (name === 'local') return 'a user of this computer';
  return name.replace(/^(key|oidc:email|oidc:sub):/, '');
}

/** The host that is meant by its name, or by a URL at it; null if it is neither. */
export function hostOf(text: string): string | null {
  const trimmed = text.trim();
  try {
    const { hostname } = new URL(trimmed.includes('://') ? trimmed : `https://${trimmed}`);
    // Chromium encodes what no host has, instead of refusing it.
    return hostname.includes('%') ? null : hostname || null;
  } catch {
    return null; // Browsers take it for no address.
  }
}

/** What goes on at hosts, of all workers. */
export interface Traffic {
  requests: number;
  waiting: number;
}

export function trafficOf(workers: readonly WorkerShown[]): Map<string, Traffic> {
  const found = new Map<string, Traffic>();
  for (const { alive, hosts } of workers) {
    if (!alive) continue;
    for (const { host, requests, waiting } of hosts) {
      const known = found.get(host) ?? { requests: 0, waiting: 0 };
      found.set(host, {
        requests: known.requests + requests,
        waiting: known.waiting + waiting,
      });
    }
  }
  return found;
}
