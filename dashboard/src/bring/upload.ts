/** Uploading a list, with its progress. `fetch` does not tell how much of a body has been sent. */

import { API, api, ApiError, headers, idempotencyHeader, unwrap } from '../api/client';
import type { Problem, Upload } from '../api/types';
import { bytes } from '../format';
import { session } from '../session.svelte';

const UNREACHED = 'Check the connection, and that the server is running; then try again.';

/** Files above this are compared with the server's limit before they are sent. */
const ASKED_ABOVE_BYTES = 4 * 1024 * 1024;

/**
 * Refuse a file that the server would not take: it answers before it has read all of it, and the
 * browser, still sending, may then see a broken connection in place of the answer.
 */
async function checkSize(file: File, signal: AbortSignal): Promise<void> {
  if (file.size <= ASKED_ABOVE_BYTES) return;
  const params = { query: { limit: 1 } };
  const { max_bytes: most } = await unwrap(api.GET('/api/v1/uploads', { params, signal }));
  if (file.size <= most) return;
  throw new ApiError(413, {
    detail: `${file.name} has ${bytes(file.size)}; the server takes ${bytes(most)}.`,
    remedy: 'Compress it with gzip or zip, or split it.',
  });
}

/**
 * Send a file. `progress` is called with the share that has been sent, from 0 to 1.
 *
 * Rejects with an `ApiError`; with an `AbortError` when `signal` is aborted.
 */
export async function upload(
  file: File,
  progress: (share: number) => void,
  signal: AbortSignal,
): Promise<Upload> {
  await checkSize(file, signal);
  return await send(file, progress, signal);
}

function send(file: File, progress: (share: number) => void, signal: AbortSignal): Promise<Upload> {
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
