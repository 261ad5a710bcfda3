"""Requests to one server: what is sent, what is tried again, and which errors are raised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import aiohttp
import msgspec
import orjson
from yarl import URL

from triptych.client.problem import error_of
from triptych.client.subscription import task_remote
from triptych.errors import ServerUnavailable, TaskFailed, Unavailable
from triptych.messages import check_brand
from triptych.runs.run_shown import RunShown
from triptych.tasks.task_store import Task, TaskState
from triptych.wire import Page

PREFIX = "/api/v1"
ANSWER_S = 60.0
"""Seconds for one answer, its body included; downloads of files have no limit."""
IDLE = aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_S, sock_read=ANSWER_S)
"""Of any request: the longest wait for a connection, and between two pieces of a body."""
CHUNK_BYTES = 1024 * 1024
PAGE_MAX = 500
TRIES = 3
"""Attempts of a request. Retrying is safe: requests that change data have an idempotency key."""
TRY_STEP_S = 0.5
TASK_S = 3600.0
"""Seconds for a submitted task to end."""
RETRIED = frozenset({502, 503, 504})
REDIRECTED = 307
"""Status of an answer whose bytes are at the object store."""

Json = dict[str, Any]
Query = Mapping[str, str] | Sequence[tuple[str, str]]
"""Parameters of a request; pairs where one is repeated."""
T = TypeVar("T")


class Connection:
    """One server, over one HTTP session. The verbs of a client are methods of its subclasses.

    Every method raises the error that the server reports, or `ServerUnavailable`.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        base: URL,
        headers: Mapping[str, str],
        socket: Path | None = None,
    ) -> None:
        self._session = session
        self._base = base
        self._headers = headers
        self._socket = socket

    async def _opened(self, path: str, body: Json | None = None) -> RunShown:
        return await self._run_of(await self._submit("POST", path, body))

    async def _run_of(self, task: Task) -> RunShown:
        if task.run_id is None:
            raise ServerUnavailable(f"{self._base} names no run of task {task.id}.")
        return await self._get(f"/runs/{task.run_id}", RunShown)

    async def _submit(self, method: str, path: str, body: Json | None = None) -> Task:
        headers = {"Idempotency-Key": str(uuid4())}
        return await self._ask(method, path, Task, body=body, headers=headers)

    async def _done(self, task: Task) -> Task:
        """Return a task when it has ended, which is learnt from live status."""
        if task.ended_at is None:
            task = await self._ended(task.id)
        if task.state is TaskState.FAILED:
            raise TaskFailed(task.result.get("error"), remedy=task.result.get("remedy"))
        return task

    async def _ended(self, task_id: UUID) -> Task:
        try:
            async with asyncio.timeout(TASK_S):
                return await task_remote(
                    self._live, task_id, headers=self._headers, socket=self._socket
                )
        except TimeoutError as error:
            raise ServerUnavailable(
                f"Task {task_id} has not ended within {TASK_S:,.0f} s.",
                remedy="Check that a worker serves the phase ai.",
            ) from error

    async def _pages(
        self, path: str, kind: type[Page[T]], asked: Query | None = None
    ) -> AsyncIterator[T]:
        given = [*(asked.items() if isinstance(asked, Mapping) else asked or ())]
        if "limit" not in dict(given):
            given.append(("limit", str(PAGE_MAX)))
        query = given
        while True:
            page = await self._get(path, kind, query)
            for each in page.items:
                yield each
            if page.next is None:
                return
            query = [*given, ("cursor", page.next)]

    async def _some(
        self,
        path: str,
        kind: type[Page[T]],
        filters: Mapping[str, str],
        limit: int,
        cursor: str | None,
    ) -> tuple[Sequence[T], str | None]:
        """Return up to ``limit`` entries of a listing after a cursor, and the next cursor."""
        query = {**filters} if cursor is None else {**filters, "cursor": cursor}
        found: list[T] = []
        while True:
            query["limit"] = str(min(limit - len(found), PAGE_MAX))
            page = await self._get(path, kind, query)
            found += page.items
            if page.next is None or len(found) >= limit:
                return found, page.next
            query["cursor"] = page.next

    async def _download(self, path: str, to: Path, query: Query | None = None) -> None:
        """Write the body of an answer to a file, completely or not at all."""
        unfinished = to.with_name(f"{to.name}.part")
        try:
            async with self._answer("GET", path, query) as response:
                with unfinished.open("wb") as file:
                    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                        await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(unfinished.replace, to)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unavailable(error) from error
        finally:
            unfinished.unlink(missing_ok=True)

    async def _send_file(self, path: str, file: Path, kind: type[T], query: Query) -> T:
        """Post a file's bytes, after up to `TRIES` attempts; they are one request to the server.

        Raises:
            OSError: the file cannot be opened.
        """
        headers = {"Idempotency-Key": str(uuid4()), "Content-Type": "application/octet-stream"}
        for attempt in range(1, TRIES + 1):
            with await asyncio.to_thread(file.open, "rb") as opened:
                try:
                    async with self._answer("POST", path, query, opened, headers) as response:
                        return msgspec.json.decode(await response.read(), type=kind)
                except (aiohttp.ClientError, OSError, Unavailable, msgspec.MsgspecError) as error:
                    if attempt == TRIES:
                        raise self._unavailable(error) from error
            await asyncio.sleep(TRY_STEP_S * attempt)
        raise AssertionError

    async def _get(self, path: str, kind: type[T], query: Query | None = None) -> T:
        return await self._ask("GET", path, kind, query=query)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Query | None = None,
        body: Json | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        tries: int = TRIES,
    ) -> T:
        if body is not None:
            data = orjson.dumps(body)
            headers = {**(headers or {}), "Content-Type": "application/json"}
        try:
            return msgspec.json.decode(
                await self._body(method, path, query, data, headers, tries), type=kind
            )
        except msgspec.MsgspecError as error:
            raise self._unavailable(error) from error

    async def _body(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        tries: int = TRIES,
    ) -> bytes:
        """Return the body of the answer, after up to ``tries`` attempts."""
        for attempt in range(1, tries + 1):
            try:
                async with asyncio.timeout(ANSWER_S):
                    async with self._answer(method, path, query, data, headers) as response:
                        return await response.read()
            except (aiohttp.ClientError, OSError, Unavailable) as error:
                if attempt == tries:
                    raise self._unavailable(error) from error
            await asyncio.sleep(TRY_STEP_S * attempt)
        raise AssertionError

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        data: bytes | IO[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self._base.joinpath(f"{PREFIX}{path}".lstrip("/"), encoded=True).with_query(query)
        async with self._session.request(
            method,
            url,
            data=data,
            headers={**self._headers, **(headers or {})},
            allow_redirects=False,
        ) as response:
            if response.status == REDIRECTED and method == "GET":
                async with self._stored(response.headers.get("Location", "")) as stored:
                    yield stored
                return
            if not response.ok or response.status >= 300:
                try:
                    problem = orjson.loads(await response.read())
                except ValueError:
                    problem = None
                refusal = error_of(response.status, problem)
                if response.status in RETRIED and not isinstance(refusal, Unavailable):
                    raise ServerUnavailable(f"{self._base} answers {response.status}.")
                raise refusal
            yield response

    @asynccontextmanager
    async def _stored(self, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open what the server has redirected to: an object of its store, by a signed URL.

        The store is given neither the API key nor, of a private server, its socket.
        """
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(URL(url, encoded=True), allow_redirects=False) as stored,
        ):
            if stored.status != HTTPStatus.OK:
                raise ServerUnavailable(
                    f"The object store of {self._base} answers {stored.status}."
                )
            yield stored

    @property
    def _live(self) -> str:
        scheme = "wss" if self._base.scheme == "https" else "ws"
        return str(self._base.with_scheme(scheme) / "ws")

    def _unavailable(self, error: Exception) -> Unavailable:
        if isinstance(error, Unavailable):
            return error
        return ServerUnavailable(
            f"{self._base} does not answer ({error or type(error).__name__}).",
            remedy="Check --server, and that the server is running.",
        )


def part(text: str) -> str:
    """Return a text encoded as one segment of a path."""
    return quote(text, safe="")


def brand_part(name: str) -> str:
    """Return a brand's name encoded as one segment of a path.

    Raises:
        InvalidBrand: it cannot be a brand's name.
    """
    return part(check_brand(name))


def of_run(run: UUID | None) -> dict[str, str]:
    """Return the query that asks for the snapshot of a run; an empty one for the current."""
    return {} if run is None else {"run": str(run)}


def fresh_query(wanted: bool) -> dict[str, str]:
    """Return the query that asks Postgres, if that is wanted."""
    return {"fresh": "true"} if wanted else {}
