/** The API, with the types of its description; every problem becomes an `ApiError`. */

import createClient from 'openapi-fetch';
import { session } from '../session.svelte';
import { asFresh, changedLately, LAG } from './fresh';
import type { paths } from './schema';
import type { Problem } from './types';

/** A request that the server refused, or that did not reach it. */
export class ApiError extends Error {
  readonly status: number;
  readonly problem: Partial<Problem>;

  constructor(status: number, problem: Partial<Problem>) {
    super(problem.detail ?? problem.title ?? 'The server did not answer.');
    this.status = status;
    this.problem = problem;
  }

  get remedy(): string | undefined {
    return this.problem.remedy ?? undefined;
  }
}

export const API = '/api/v1';
const UNREACHED = 'Check the connection, and that the server is running.';

export function headers(): Record<string, string> {
  return session.key ? { Authorization: `Bearer ${session.key}` } : {};
}

/** Fetch from the API: what shows all that live status has told; a 401 asks for a key. */
export async function ask(input: Request | string, init?: RequestInit): Promise<Response> {
  const request = new Request(input, init);
  for (const [name, value] of Object.entries(headers())) request.headers.set(name, value);
  const fresh = asFresh(request);
  let response = await send(fresh && changedLately() ? fresh : request);
  if (fresh && response.headers.has(LAG)) response = await send(fresh);
  if (response.ok || response.status === 304) return response;
  const problem = await readProblem(response);
  if (response.status === 401) {
    // The server itself answers with a problem; a load balancer whose session has ended does not.
    if (isJson(response)) session.refuse(problem.detail ?? 'The server asks for a key.');
    else session.refuse('Your session has ended.', { elsewhere: true });
  }
  throw new ApiError(response.status, problem);
}

async function send(request: Request): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, { detail: 'The server cannot be reached.', remedy: UNREACHED });
  }
}

const isJson = (response: Response): boolean =>
  (response.headers.get('content-type') ?? '').includes('json');

async function readProblem(response: Response): Promise<Partial<Problem>> {
  if (!isJson(response)) return { detail: `The server answered ${response.status}.` };
  return (await response.json()) as Partial<Problem>;
}

export const api = createClient<paths>({ baseUrl: location.origin, fetch: ask });

/** Return an operation's answer. `ask` has thrown any problem already. */
export async function unwrap<T>(answer: Promise<{ data?: T }>): Promise<T> {
  const { data: found } = await answer;
  if (found === undefined) throw new ApiError(0, { detail: 'The server sent an empty answer.' });
  return found;
}

/** The header of a submission: a request that is repeated with the same key is one submission. */
export const idempotencyHeader = (): { 'Idempotency-Key': string } => ({
  'Idempotency-Key': crypto.randomUUID(),
});

/** Describe an error to a person: what happened, then what to do. */
export function tell(error: unknown): { message: string; remedy?: string } {
  if (error instanceof ApiError) return { message: error.message, remedy: error.remedy };
  return { message: error instanceof Error ? error.message : String(error) };
}
