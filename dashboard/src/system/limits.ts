/** Pausing and limiting phases and hosts. */

import { api, idempotencyHeader, tell, unwrap } from '../api/client';
import type { HostLimit, LimitedPhase, PhaseLimit } from '../api/types';
import { toasts } from '../ui/toasts.svelte';
import { PHASES } from './limitWords';

type PhaseChange = Pick<PhaseLimit, 'paused' | 'concurrency'>;
type HostChange = Pick<HostLimit, 'paused' | 'concurrency' | 'per_second'>;

async function done(what: string, work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    toasts.failed(what, error);
    return false;
  }
}

export function putPhase(phase: LimitedPhase, body: PhaseChange): Promise<boolean> {
  const { name } = PHASES[phase];
  return done(
    `Could not change ${name}`,
    unwrap(
      api.PUT('/api/v1/phases/{phase}', {
        params: { path: { phase }, header: idempotencyHeader() },
        body,
      }),
    ),
  );
}

const onHost = (host: string) => ({ params: { path: { host }, header: idempotencyHeader() } });

const submitHost = (host: string, body: HostChange) =>
  unwrap(api.PUT('/api/v1/hosts/{host}', { ...onHost(host), body }));

/** Set what a host has of its own; without anything, its limits are taken away. */
export function putHost(host: string, body: HostChange): Promise<boolean> {
  const none = !body.paused && body.concurrency === null && body.per_second === null;
  const work = none
    ? unwrap(api.DELETE('/api/v1/hosts/{host}', onHost(host)))
    : submitHost(host, body);
  return done(`Could not change ${host}`, work);
}

/** Add a host, paused; returns what is wrong with its name, or nothing. */
export async function pauseHost(host: string): Promise<string> {
  try {
    await submitHost(host, { paused: true, concurrency: null, per_second: null });
    return '';
  } catch (error) {
    const { message, remedy } = tell(error);
    return [message, remedy].filter(Boolean).join(' ');
  }
}
