"""What a client does with runs: start, list, follow and steer them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

import msgspec

from triptych.client.connection import PAGE_MAX, Connection, Json, brand_part
from triptych.client.subscription import watch_remote
from triptych.messages import check_brand
from triptych.model import Reason, RunKind, RunState, TimelineEvent
from triptych.runs.failure_reasons import FailureExamples, Failures
from triptych.runs.run_shown import RunShown
from triptych.runs.run_store import FailedItem, Pace, RefusedRows
from triptych.wire import Listing, Page, Wire

if TYPE_CHECKING:
    # FastAPI is slow to import, and only these methods need it.
    from triptych.api.pictures import PictureShown
    from triptych.api.run_bulk import BulkResult

BulkAction = Literal["pause", "resume", "cancel", "redrive", "publish", "discard"]
Steering = Literal["pause", "resume", "cancel", "publish", "discard"]


class _Timeline(Wire, frozen=True):
    items: list[TimelineEvent]
    next: int


class RunVerbs(Connection):
    """Runs of all brands."""

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
        states: Collection[RunState] = (),
        kinds: Collection[RunKind] = (),
        since: datetime | None = None,
        until: datetime | None = None,
        stalled: bool = False,
        held: bool = False,
        limit: int,
    ) -> Sequence[RunShown]:
        """Return the newest runs, at most ``limit``.

        Args:
            brand: only of this brand.
            states: only in one of these states; in any if empty.
            kinds: only of one of these kinds; of any if empty.
            since: only opened at this time or later; it has a time zone.
            until: only opened before this time; it has a time zone.
            stalled: only those of which nothing moves; with ``held``, those of either.
            held: only those that wait for a decision.
            limit: how many.
        """
        query = [("limit", str(min(limit, PAGE_MAX)))]
        query += [("brand", check_brand(brand))] if brand is not None else []
        query += [("state", state.value) for state in states]
        query += [("kind", kind.value) for kind in kinds]
        query += [("since", since.isoformat())] if since is not None else []
        query += [("until", until.isoformat())] if until is not None else []
        query += [("stalled", "true")] if stalled else []
        query += [("held", "true")] if held else []
        found: list[RunShown] = []
        async for run in self._pages("/runs", Page[RunShown], query):
            found.append(run)
            if len(found) == limit:
                break
        return found

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
        task = await self._submit("POST", f"/brands/{brand_part(brand)}/runs", body)
        run = await self._run_of(task)
        if not task.result.get("opened", True):
            joined(run)
        return run

    async def reembed(self, brand: str) -> RunShown:
        """Open a run that embeds a brand's snapshot again."""
        return await self._opened(f"/brands/{brand_part(brand)}/reembed", {})

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

    async def steer(self, run_id: UUID, verb: Steering) -> RunShown:
        """Pause, resume, cancel, publish or discard a run; return its new state."""
        return await self._opened(f"/runs/{run_id}/{verb}")

    async def steer_runs(
        self, action: BulkAction, *, runs: Sequence[UUID] = (), brands: Sequence[str] = ()
    ) -> BulkResult:
        """Do one thing to many runs; return what became of each. A refusal stops no other.

        ``brands``: of each its newest run. At most 100 of either.
        """
        from triptych.api.run_bulk import BulkResult

        body: Json = {
            "action": action,
            "runs": [str(run) for run in runs],
            "brands": [check_brand(brand) for brand in brands],
        }
        headers = {"Idempotency-Key": str(uuid4())}
        return await self._ask("POST", "/runs/bulk", BulkResult, body=body, headers=headers)

    async def pictures(
        self, run_id: UUID, *, after: datetime | None = None, limit: int | None = None
    ) -> Sequence[PictureShown]:
        """Return the newest pictures that an active run has acquired, newest first.

        Args:
            run_id: the run.
            after: only those acquired after this time; it has a time zone.
            limit: how many, at most 100.
        """
        from triptych.api.pictures import PictureShown

        query = {} if after is None else {"after": after.isoformat()}
        if limit is not None:
            query["limit"] = str(limit)
        return (await self._get(f"/runs/{run_id}/pictures", Listing[PictureShown], query)).items

    async def picture_thumbnail(self, run_id: UUID, key: str, width: int) -> bytes:
        """Return a thumbnail of a picture of an active run as WebP; ``width`` as of an asset's."""
        path = f"/runs/{run_id}/pictures/{key}/thumbnail"
        return await self._body("GET", path, {"w": str(width)})

    async def watch(self, run_id: UUID) -> AsyncIterator[RunShown]:
        """Yield a run's states, newer ones only, until it and its AI phase are over."""
        async for run in watch_remote(
            self._live, run_id, headers=self._headers, socket=self._socket
        ):
            yield run

    async def timeline(self, run_id: UUID, *, after: int = 0) -> AsyncIterator[TimelineEvent]:
        """Yield what happened to a run until now, in order; ``after``: only after this seq."""
        while True:
            query = {"after": str(after), "limit": str(PAGE_MAX)}
            page = await self._get(f"/runs/{run_id}/timeline", _Timeline, query)
            for event in page.items:
                yield event
            if len(page.items) < PAGE_MAX:
                return
            after = page.next

    async def pace(self, run_id: UUID) -> Pace:
        """Return how fast a run goes, and what its last items wait for."""
        return await self._get(f"/runs/{run_id}/pace", Pace)

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

    async def failed_items(self, run_id: UUID, reason: Reason) -> AsyncIterator[FailedItem]:
        """Yield all items of a run that failed for one reason."""
        path = f"/runs/{run_id}/failures/{reason.value}"
        async for item in self._pages(path, Page[FailedItem]):
            yield item

    async def refused_rows(self, run_id: UUID) -> RefusedRows:
        """Return the first rows of a run's source that name no URL, and how many there are."""
        return await self._get(f"/runs/{run_id}/refused-rows", RefusedRows)
