/** Uploading a list, with its progress. `fetch` does not tell how much of a body has been sent. */

import { API, ApiError, headers, idempotencyHeader } from '../api/client';
import type { Problem, Upload } from '../api/types';
import { session } from '../session.svelte';

const UNREACHED = 'Check the connection, and that the server is running; then try again.';

/**
 * Send a file. `progress` is called with the share that has been sent, from 0 to 1.
 *
 * Rejects with an `ApiError`; with an `AbortError` when `signal` is aborted.
 */
export function upload(
  file: File,
  progress: (share: number) => void,
  signal: AbortSignal,
): Promise<Upload> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = (): void => request.abort();
    const end = (act: () => void) => (): void => {
      signal.removeEventListener('abort', stop);
      act();
    };
    request.open('POST', `${API}/uploads?name=${encodeURIComponent(file.name)}`);
    const sent = { ...headers(), ...idempotencyHeader(), Accept: 'application/json' };
    for (const [name, value] of Object.entries(sent)) request.setRequestHeader(name, value);
    request.setRequestHeader('Content-Type', 'application/octet-stream');
    request.upload.onprogress = ({ loaded, total }) => progress(total ? loaded / total : 0);
    request.onload = end(() => {
      if (request.status === 201 || request.status === 200)
        resolve(JSON.parse(request.responseText) as Upload);
      else reject(refusal(request));
    });
    request.onerror = end(() =>
      reject(new ApiError(0, { detail: 'The file could not be sent.', remedy: UNREACHED })),
    );
    request.onabort = end(() => reject(new DOMException('Cancelled.', 'AbortError')));
    signal.addEventListener('abort', stop);
    if (signal.aborted) reject(new DOMException('Cancelled.', 'AbortError'));
    else request.send(file);
  });
}

function refusal(request: XMLHttpRequest): ApiError {
  const json = (request.getResponseHeader('content-type') ?? '').includes('json');
  const problem: Partial<Problem> = json
    ? (JSON.parse(request.responseText) as Problem)
    : { detail: `The server answered ${request.status}.` };
  if (request.status === 401 && json)
    session.refuse(problem.detail ?? 'The server asks for a key.');
  else if (request.status === 401) session.refuse('Your session has ended.', { elsewhere: true });
  return new ApiError(request.status, problem);
}
