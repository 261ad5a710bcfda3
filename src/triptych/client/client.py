"""The API from Python: methods return wire types and raise the errors that the server reports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid4

import aiohttp
import msgspec
import orjson
from yarl import URL

from triptych.client.problem import error_of
from triptych.client.subscription import task_remote, watch_remote
from triptych.dead_letters.dead_letter_store import KeptLetter
from triptych.errors import ServerUnavailable, SettingsError, TaskFailed, Unavailable
from triptych.fetch.web_url import parse_web_url
from triptych.gather.source_check import SourceCheck
from triptych.messages import check_brand
from triptych.model import AiState, Insight, Reason, RunState
from triptych.presence.presence_store import SeenWorker
from triptych.queues.queue import QueueDepth
from triptych.runs.failure_reasons import FailureExamples, Failures
from triptych.runs.run_shown import BrandShown, RunShown
from triptych.runs.run_store import FailedItem, Pace, RefusedRows
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.brand_map import BrandMap, decode_map
from triptych.snapshots.brand_relations import NearBrands
from triptych.snapshots.comparison import Comparison
from triptych.snapshots.search_service import Matches
from triptych.snapshots.snapshot_shown import SnapshotShown
from triptych.snapshots.snapshot_store import Difference, DifferenceCounts, Insights
from triptych.tasks.task_store import Task, TaskState
from triptych.wire import Listing, Page

PREFIX = "/api/v1"
ANSWER_S = 60.0
"""Seconds for one answer, its body included; downloads of files have no limit."""
CHUNK_BYTES = 1024 * 1024
PAGE_MAX = 500
TRIES = 3
"""Attempts of a request. Retrying is safe: requests that change data have an idempotency key."""
TRY_STEP_S = 0.5
TASK_S = 3600.0
"""Seconds for a submitted task to end."""
RETRIED = frozenset({502, 503, 504})

Json = dict[str, Any]
T = TypeVar("T")


class Client:
    """One server. Every method raises the error that the server reports, or `ServerUnavailable`.

    Methods raise `InvalidBrand` for a name that cannot be a brand's.
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

    # --- reads --------------------------------------------------------------------------------

    async def brands(self) -> Sequence[BrandShown]:
        """Return all brands, by name."""
        return [brand async for brand in self._pages("/brands", Page[BrandShown])]

    async def brand(self, name: str, *, fresh: bool = False) -> BrandShown:
        """Return a brand; ``fresh``: as it is now, not as MongoDB may still show it.

        Raises:
            BrandNotFound: there is no brand with that name.
        """
        return await self._get(f"/brands/{_brand(name)}", BrandShown, _fresh(fresh))

    async def run(self, run_id: UUID) -> RunShown:
        """Return a run.

        Raises:
            RunNotFound: there is no run with that id.
        """
        return await self._get(f"/runs/{run_id}", RunShown)

    async def runs(
        self,
        *,
        brand: str | None = None,
        state: RunState | None = None,
        stalled: bool = False,
        limit: int,
    ) -> Sequence[RunShown]:
        """Return the newest runs, at most ``limit``; with ``stalled``, only those that are."""
        query = {"limit": str(min(limit, PAGE_MAX))}
        if brand is not None:
            query["brand"] = check_brand(brand)
        if state is not None:
            query["state"] = state.value
        if stalled:
            query["stalled"] = "true"
        found: list[RunShown] = []
        async for run in self._pages("/runs", Page[RunShown], query):
            found.append(run)
            if len(found) == limit:
                break
        return found

    async def pace(self, run_id: UUID) -> Pace:
        """Return how fast a run goes, and what its last items wait for."""
        return await self._get(f"/runs/{run_id}/pace", Pace)

    async def workers(self) -> Sequence[SeenWorker]:
        """Return the known workers, the longest-lived first."""
        return (await self._get("/workers", Listing[SeenWorker])).items

    async def assets(
        self, brand: str, *, limit: int, cursor: str | None = None, **filters: str
    ) -> tuple[Sequence[AssetShown], str | None]:
        """Return up to ``limit`` of a brand's assets, and the cursor of those that follow.

        ``filters`` are the API's; ``snapshot`` is one of them. ``fresh="true"`` reads Postgres.
        """
        path = f"/brands/{_brand(brand)}/assets"
        return await self._some(path, Page[AssetShown], filters, limit, cursor)

    async def snapshots(self, brand: str) -> Sequence[SnapshotShown]:
        """Return a brand's kept snapshots, newest first."""
        path = f"/brands/{_brand(brand)}/snapshots"
        return [snapshot async for snapshot in self._pages(path, Page[SnapshotShown])]

    async def snapshot(self, brand: str, snapshot: UUID) -> SnapshotShown:
        """Return a snapshot of a brand.

        Raises:
            RunNotFound: the brand has no such snapshot.
        """
        return await self._get(f"/brands/{_brand(brand)}/snapshots/{snapshot}", SnapshotShown)

    async def difference(
        self, brand: str, old: UUID, new: UUID, *, limit: int, cursor: str | None, **filters: str
    ) -> tuple[Sequence[Difference], str | None]:
        """Return up to ``limit`` URLs that two snapshots have otherwise, and the next cursor.

        ``change``, one of the filters, is ``added``, ``removed`` or ``changed``.
        """
        path = f"/brands/{_brand(brand)}/snapshots/{old}/diff/{new}"
        return await self._some(path, Page[Difference], filters, limit, cursor)

    async def difference_counts(self, brand: str, old: UUID, new: UUID) -> DifferenceCounts:
        """Count what two snapshots of a brand have otherwise.

        Raises:
            RunNotFound: one of them is no snapshot of the brand.
            SnapshotCollected: one of them is no longer kept.
        """
        path = f"/brands/{_brand(brand)}/snapshots/{old}/diff/{new}/counts"
        return await self._get(path, DifferenceCounts)

    async def asset(
        self, asset: str, *, run: UUID | None = None, fresh: bool = False
    ) -> AssetShown:
        """Return an asset from its brand's current snapshot, or from that of a run.

        ``fresh``: as Postgres has it.

        Raises:
            AssetNotFound: there is no asset with that id.
        """
        return await self._get(f"/assets/{_part(asset)}", AssetShown, _of_run(run) | _fresh(fresh))

    async def thumbnail(self, asset: str, width: int, *, run: UUID | None = None) -> bytes:
        """Return a thumbnail of an asset as WebP; ``width`` is 160, 320, 640 or 1280 pixels.

        Raises:
            NoThumbnail: the asset is not an image.
        """
        query = {"w": str(width), **_of_run(run)}
        return await self._body("GET", f"/assets/{_part(asset)}/thumbnail", query)

    async def map(self, brand: str, *, fresh: bool = False) -> BrandMap:
        """Return the map of a brand's current snapshot; it has no points until it is drawn.

        ``fresh``: as Postgres has it.
        """
        body = await self._body("GET", f"/brands/{_brand(brand)}/map", _fresh(fresh))
        try:
            return decode_map(body)
        except ValueError as error:
            raise self._unavailable(error) from error

    async def failures(self, run_id: UUID, *, examples: int) -> Sequence[FailureExamples]:
        """Return a run's failures by reason, with up to ``examples`` examples of each."""
        path = f"/runs/{run_id}/failures"
        groups = []
        for each in (await self._get(path, Listing[Failures])).items:
            query = {"limit": str(min(examples, PAGE_MAX))}
            page = await self._get(f"{path}/{each.reason.value}", Page[FailedItem], query)
            some = [(item.url, item.detail) for item in page.items]
            groups.append(FailureExamples(**msgspec.structs.asdict(each), examples=some))
        return groups

    async def refused_rows(self, run_id: UUID) -> RefusedRows:
        """Return the first rows of a run's source that name no URL, and how many there are."""
        return await self._get(f"/runs/{run_id}/refused-rows", RefusedRows)

    async def check_source(self, source: str, *, brand: str | None = None) -> SourceCheck:
        """Return what a source is and what a run would take of it, without starting one."""
        return await self._check({"source": source}, brand)

    async def check_urls(
        self, urls: Sequence[str | Mapping[str, Any]], *, brand: str | None = None
    ) -> SourceCheck:
        """Return what a run would take of URLs, as `start` takes them, without starting one."""
        return await self._check({"urls": list(urls)}, brand)

    async def _check(self, body: Json, brand: str | None) -> SourceCheck:
        asked = body if brand is None else {**body, "brand": brand}
        return await self._ask("POST", "/sources/check", SourceCheck, body=asked)

    async def depths(self) -> Sequence[QueueDepth]:
        """Return the depths of the queues."""
        return (await self._get("/queues", Listing[QueueDepth])).items

    async def insights(
        self, brand: str, *, fresh: bool = False
    ) -> tuple[UUID | None, AiState, str | None, Sequence[Insight]]:
        """Return a brand's current snapshot, its AI phase's state and reason, and its insights.

        ``fresh``: as Postgres has them.
        """
        path = f"/brands/{_brand(brand)}/insights"
        found = await self._get(path, Insights, _fresh(fresh))
        return found.run, found.ai_state, found.ai_reason, found.items

    async def nearest(self, brand: str) -> NearBrands:
        """Return the brands that are most similar to one now."""
        return await self._get(f"/brands/{_brand(brand)}/nearest", NearBrands)

    async def compare(self, brand: str, other: str) -> Comparison:
        """Compare the current snapshots of two brands."""
        return await self._get(f"/brands/{_brand(brand)}/compare/{_brand(other)}", Comparison)

    # --- search -------------------------------------------------------------------------------

    async def search(self, text: str, **options: str) -> Matches:
        """Return the assets that show what a text describes; options are the API's."""
        return await self._get("/search", Matches, {"q": text, **options})

    async def search_by_asset(self, asset: str, **options: str) -> Matches:
        """Return the assets that look like another asset."""
        return await self._get("/search", Matches, {"asset": asset, **options})

    async def search_by_image(self, body: bytes, **options: str) -> Matches:
        """Return the assets that look like an image."""
        headers = {"Content-Type": "application/octet-stream"}
        return await self._ask(
            "POST", "/search", Matches, query=options, data=body, headers=headers
        )

    # --- operations ---------------------------------------------------------------------------

    async def start(
        self,
        brand: str,
        *,
        source: str | None = None,
        urls: Sequence[str | Mapping[str, Any]] | None = None,
        replace: bool = False,
        joined: Callable[[RunShown], None] = lambda _: None,
    ) -> RunShown:
        """Start a run of a brand, or return its active one after ``joined`` was called with it.

        ``urls``: instead of a source, up to 1,000 URLs, or ``{"url": …, "metadata": {…}}``.
        ``replace``: cancel an active run of another source or kind first.

        Raises:
            RunActive: the brand has an active run of another source or kind.
        """
        body: Json = {} if source is None else {"source": source}
        if urls is not None:
            body["urls"] = list(urls)
        if replace:
            body["replace"] = True
        task = await self._submit("POST", f"/brands/{_brand(brand)}/runs", body)
        run = await self._run_of(task)
        if not task.result.get("opened", True):
            joined(run)
        return run

    async def reembed(self, brand: str) -> RunShown:
        """Open a run that embeds a brand's snapshot again."""
        return await self._opened(f"/brands/{_brand(brand)}/reembed", {})

    async def restore(self, brand: str, snapshot: UUID) -> RunShown:
        """Open a run that publishes an older snapshot of a brand again.

        Raises:
            RunNotFound, SnapshotCollected: the brand has no such snapshot, or no longer.
            Conflict: it is the current one.
            RunActive: the brand has an active or held run.
        """
        return await self._opened(f"/brands/{_brand(brand)}/snapshots/{snapshot}/restore")

    async def redrive(
        self,
        run_id: UUID,
        *,
        reasons: Sequence[Reason] = (),
        left: Callable[[Mapping[str, int]], None] = lambda _: None,
    ) -> RunShown:
        """Open a run that retries an ended run's failed items.

        Those with some reasons, or those that a retry may help; ``left`` is called with the numbers
        of the others by reason.
        """
        body = {"reasons": [reason.value for reason in reasons]} if reasons else {}
        task = await self._submit("POST", f"/runs/{run_id}/redrive", body)
        left(task.result.get("left", {}))
        return await self._run_of(task)

    async def steer(self, run_id: UUID, verb: str) -> RunShown:
        """Pause, resume, cancel, publish or discard a run; return its new state."""
        return await self._opened(f"/runs/{run_id}/{verb}")

    async def dead_letters(self) -> AsyncIterator[KeptLetter]:
        """Yield the messages that could not be processed, newest first."""
        async for letter in self._pages("/dead-letters", Page[KeptLetter]):
            yield letter

    async def redrive_letters(self, ids: Sequence[int]) -> int:
        """Send dead letters to the queues they came from; return how many were sent."""
        task = await self._submit("POST", "/dead-letters/redrive", {"ids": list(ids)})
        return int(task.result["redriven"])

    async def discard_letters(self, ids: Sequence[int]) -> int:
        """Delete dead letters; return how many there were."""
        task = await self._submit("POST", "/dead-letters/discard", {"ids": list(ids)})
        return int(task.result["discarded"])

    async def export(self, brand: str, kind: str) -> Task:
        """Export a brand's snapshot; return the task when it is done.

        Raises:
            TaskFailed: the task failed.
            ServerUnavailable: the task has not ended within `TASK_S`.
        """
        path = f"/brands/{_brand(brand)}/exports"
        return await self._done(await self._submit("POST", path, {"format": kind}))

    async def delete_brand(self, brand: str) -> Task:
        """Delete a brand; return the task when it is done. Raises the same errors as `export`."""
        return await self._done(await self._submit("DELETE", f"/brands/{_brand(brand)}"))

    async def watch(self, run_id: UUID) -> AsyncIterator[RunShown]:
        """Yield a run's states, newer ones only, until it and its AI phase are over."""
        async for run in watch_remote(
            self._live, run_id, headers=self._headers, socket=self._socket
        ):
            yield run

    async def fetch_file(self, task: UUID, name: str, path: Path) -> None:
        """Download a file of an export to ``path``, completely or not at all."""
        part = path.with_name(f"{path.name}.part")
        try:
            async with self._answer("GET", f"/tasks/{task}/files/{_part(name)}") as response:
                with part.open("wb") as file:
                    async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                        await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(part.replace, path)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise self._unavailable(error) from error
        finally:
            part.unlink(missing_ok=True)

    # --- requests -----------------------------------------------------------------------------

    async def _opened(self, path: str, body: Json | None = None) -> RunShown:
        return await self._run_of(await self._submit("POST", path, body))

    async def _run_of(self, task: Task) -> RunShown:
        if task.run_id is None:
            raise ServerUnavailable(f"{self._base} names no run of task {task.id}.")
        return await self.run(task.run_id)

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
        self, path: str, kind: type[Page[T]], asked: Mapping[str, str] | None = None
    ) -> AsyncIterator[T]:
        query = {"limit": str(PAGE_MAX), **(asked or {})}
        while True:
            page = await self._get(path, kind, query)
            for each in page.items:
                yield each
            if page.next is None:
                return
            query["cursor"] = page.next

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

    async def _get(self, path: str, kind: type[T], query: Mapping[str, str] | None = None) -> T:
        return await self._ask("GET", path, kind, query=query)

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        if body is not None:
            data = orjson.dumps(body)
            headers = {**(headers or {}), "Content-Type": "application/json"}
        try:
            return msgspec.json.decode(
                await self._body(method, path, query, data, headers), type=kind
            )
        except msgspec.MsgspecError as error:
            raise self._unavailable(error) from error

    async def _body(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Return the body of the answer, after up to `TRIES` attempts."""
        for attempt in range(1, TRIES + 1):
            try:
                async with asyncio.timeout(ANSWER_S):
                    async with self._answer(method, path, query, data, headers) as response:
                        return await response.read()
            except (aiohttp.ClientError, OSError, Unavailable) as error:
                if attempt == TRIES:
                    raise self._unavailable(error) from error
            await asyncio.sleep(TRY_STEP_S * attempt)
        raise AssertionError

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        data: bytes | None = None,
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


def _part(text: str) -> str:
    return quote(text, safe="")


def _brand(name: str) -> str:
    """Return a brand's name encoded for a path, or raise `InvalidBrand`."""
    return _part(check_brand(name))


def _of_run(run: UUID | None) -> dict[str, str]:
    return {} if run is None else {"run": str(run)}


def _fresh(wanted: bool) -> dict[str, str]:
    return {"fresh": "true"} if wanted else {}


@asynccontextmanager
async def open_client(server: str, key: str | None = None) -> AsyncIterator[Client]:
    """Open a client of the server at ``https://host[:port]``; ``key`` is an API key.

    Raises:
        SettingsError: the address is not valid.
    """
    base = server_url(server)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield Client(session, base, headers)


@asynccontextmanager
async def open_socket_client(socket: Path) -> AsyncIterator[Client]:
    """Open a client of a server on this machine that listens on a Unix socket."""
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(socket)), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Client(session, URL("http://localhost/"), {}, socket)


def server_url(text: str) -> URL:
    """Return a server's address.

    Raises:
        SettingsError: the address is not valid.
    """
    wrong = SettingsError(
        "This is not the address of a server.",
        field="--server",
        remedy="Use https://host or http://127.0.0.1:8321, without a path.",
    )
    try:
        url = parse_web_url(text)
    except ValueError:
        raise wrong from None
    if url.raw_path != "/" or url.raw_query_string or url.raw_user or "#" in text:
        raise wrong
    return url
