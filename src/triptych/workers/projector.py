"""The projector: loops in every worker that keep MongoDB close to the committed snapshots.

Level-triggered: what is behind follows from rows, so whatever is killed, duplicated or lost, the
next check finds what is left to do. Every write is safe to repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog

from triptych.errors import ReadsUnavailable, Unavailable
from triptych.reads.edition import Edition
from triptych.reads.projection import Projection
from triptych.reads.projection_store import Claim, ProjectionStore
from triptych.runtime.periodic import run_periodically

IDLE_S = 1.0
"""Seconds between two checks of a worker for something to do; of all workers, one checks what is
committed."""
BRANDS_AT_ONCE = 2
"""Brands that one worker projects at a time."""
ASSETS_AT_ONCE = 500
"""Assets of one write."""
LEASE_S = 60.0
"""Seconds for which a brand is claimed: longer than a write may take, see `Projection`."""
GRACE_S = 60.0
"""Seconds for which an edition stays that is no longer shown: longer than a read may take."""
BRANDS_SHOWN_AT_ONCE = 200
AUDIT_S = 60.0
"""Seconds between two comparisons of what is shown with what was recorded."""
SYNC_ALL_S = 600.0
"""Seconds between two checks of all brands, rather than those that have changed lately."""
SYNC_OVERLAP_S = 120.0
"""Seconds for which a change is looked for again: longer than a transaction that made it."""

log = structlog.get_logger(__name__)


class EditionIncomplete(Exception):
    """An edition has other assets than its run says. It is not shown, and written again later."""


class Projector:
    """Any number of workers may run one; each brand is projected by one of them at a time."""

    def __init__(
        self,
        store: ProjectionStore,
        projection: Projection,
        *,
        idle_s: float = IDLE_S,
        lease_s: float = LEASE_S,
        grace_s: float = GRACE_S,
        assets_at_once: int = ASSETS_AT_ONCE,
        reached: Callable[[str], None] | None = None,
    ) -> None:
        """``reached`` is called with the name of each point between two effects."""
        self._store = store
        self._projection = projection
        self._idle_s = idle_s
        self._lease_s = lease_s
        self._grace_s = grace_s
        self._assets_at_once = assets_at_once
        self._reached = reached or (lambda _: None)
        self._target: UUID | None = None
        self._synced: datetime | None = None
        self._synced_all: datetime | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Follow what is committed until ``stop``; then end within one page."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._repeat("projector_brands", self.follow, stop))
            for _ in range(BRANDS_AT_ONCE):
                group.create_task(self._repeat("projector", lambda: self.project_one(stop), stop))

    async def catch_up(self) -> None:
        """Project all that is behind. A scheduled task calls this where workers scale to zero.

        Raises:
            DatabaseUnavailable, ReadsUnavailable: the next call does the rest.
        """
        # Once: processes that audit all the time would undo each other's work.
        await self._audit(await self._open())
        more = True
        while more:
            more = await self.follow(at_once=True)
            while await self.project_one(asyncio.Event()):
                more = True

    async def _repeat(
        self, name: str, work: Callable[[], Awaitable[bool]], stop: asyncio.Event
    ) -> None:
        await run_periodically(name, work, stop, every_s=self._idle_s)

    async def behind(self) -> Mapping[str, float | None]:
        """Return by brand how far MongoDB is behind, as `ProjectionStore.behind` does.

        Raises:
            DatabaseUnavailable: nobody knows.
            ReadsUnavailable: MongoDB is away, and was never written to.
        """
        try:
            target = await self._open()
        except ReadsUnavailable:
            known = await self._store.last_target()
            if known is None:
                raise
            target = known
        return await self._store.behind(target)

    async def follow(self, *, at_once: bool = False) -> bool:
        """Note what is behind, and show brands as they are now; True if there is more to do.

        One worker of all does this at a time. ``at_once`` does not wait for a turn.
        """
        target = await self._open()
        store = self._store
        if not at_once and await store.take_turn("projector_audit", every_s=AUDIT_S):
            await self._audit(target)
        if not (at_once or await store.take_turn("projector", every_s=self._idle_s / 2)):
            return False
        await store.want(target)
        return await self._show_brands(target)

    async def _open(self) -> UUID:
        """Return the id of the database that is written to, which may have been emptied."""
        target = await self._projection.open(await self._store.lowers())
        if target != self._target:
            log.info("projection_opened", target=str(target))
            self._target, self._synced, self._synced_all = target, None, None
        return target

    async def _show_brands(self, target: UUID) -> bool:
        """Write the brands that have changed; True if there may be more."""
        now = await self._store.now()
        all_due = self._synced_all is None or now - self._synced_all > timedelta(seconds=SYNC_ALL_S)
        since = None if all_due or self._synced is None else self._synced
        rows = await self._store.changed_brands(target, since=since, limit=BRANDS_SHOWN_AT_ONCE)
        if rows:
            await self._projection.put_brands(rows)
            self._reached("brands_put")
            await self._store.note_brands(target, rows)
        if len(rows) == BRANDS_SHOWN_AT_ONCE:
            return True
        self._synced = now - timedelta(seconds=SYNC_OVERLAP_S)
        if all_due:
            self._synced_all = now
        return False

    async def _audit(self, target: UUID) -> None:
        """Find brands that are shown otherwise than was recorded.

        So it is after one of the two databases was restored to an earlier moment. What is shown
        that the catalogue does not know is hidden at once: readers ask Postgres until it is
        written again.
        """
        # In this order: what is shown is recorded after it was shown.
        recorded = await self._store.recorded(target)
        shown = await self._projection.shown()
        now_recorded = await self._store.recorded(target)
        mistaken = [
            brand
            for brand, edition in recorded.items()
            if now_recorded.get(brand) == edition and shown.get(brand) != edition
        ]
        if mistaken:
            shown = await self._projection.shown()
            mistaken = [brand for brand in mistaken if shown.get(brand) != recorded[brand]]
        if mistaken:
            log.warning("projection_mistaken", brands=len(mistaken), first=mistaken[0])
            for brand in mistaken:
                await self._projection.forget(brand)
            await self._store.mistaken(target, mistaken)
        # Those that a restore of the catalogue has taken back: no row says that they are gone.
        unknown = await self._store.unknown(target, sorted(shown))
        if unknown:
            log.warning("projection_unknown", brands=len(unknown), first=unknown[0])
            for brand in unknown:
                await self._projection.forget(brand)

    async def project_one(self, stop: asyncio.Event) -> bool:
        """Project one brand that is behind; False if that has to wait, or there is none.

        Raises:
            DatabaseUnavailable, ReadsUnavailable: the next call goes on.
        """
        target = self._target or await self._open()
        claim = await self._store.claim(
            target, holder=uuid4(), lease_s=self._lease_s, grace_s=self._grace_s
        )
        if claim is None:
            return False
        self._reached("claimed")
        try:
            done = await self._project(claim, stop)
        except Unavailable:
            with suppress(Unavailable):  # The lease ends by itself.
                await self._store.release(claim)
            raise
        # After a defect the lease stays until it ends, so that one brand does not hold up others.
        await self._store.release(claim)
        return done

    async def _project(self, claim: Claim, stop: asyncio.Event) -> bool:
        if claim.edition is None:
            await self._projection.forget(claim.brand)
            self._reached("forgotten")
            await self._store.forgotten(claim)
            return True
        if claim.behind:
            return await self._write(claim, claim.edition, stop)
        if await self._projection.drop_older(
            claim.brand, keep=[claim.edition], grace_s=self._grace_s
        ):
            return False
        self._reached("dropped")
        await self._store.dropped(claim)
        return True

    async def _write(self, claim: Claim, edition: Edition, stop: asyncio.Event) -> bool:
        """Write an edition and show it; False if the brand has a newer one, or ``stop`` is set."""
        store, projection, brand = self._store, self._projection, claim.brand
        after, written = claim.after, claim.written
        while not stop.is_set():
            page = await store.page(brand, edition, after=after, limit=self._assets_at_once)
            if page is None:
                return False
            if not page:
                return await self._show(claim, edition, after, written)
            # First the lease: what is written without one may be of an edition that was dropped.
            if not await store.advance(claim, after=after, written=written, lease_s=self._lease_s):
                return False
            self._reached("advanced")
            await projection.write(brand, edition, page)
            self._reached("written")
            after, written = page[-1].asset.key, written + len(page)
        await store.advance(claim, after=after, written=written, lease_s=self._lease_s)
        return False

    async def _show(self, claim: Claim, edition: Edition, after: bytes, written: int) -> bool:
        store, projection, brand = self._store, self._projection, claim.brand
        whole, row = await store.whole(brand, edition), await store.brand_row(brand)
        if whole is None or row is None:
            return False
        if written != whole.assets:
            await store.advance(claim, after=b"", written=0, lease_s=self._lease_s)
            raise EditionIncomplete(
                f"Of {brand!r}, {written} assets were written, and it has {whole.assets}."
            )
        if not await store.advance(claim, after=after, written=written, lease_s=self._lease_s):
            return False
        await projection.complete(brand, edition, whole)
        self._reached("completed")
        if await projection.show(brand, edition, whole, row):
            log.info("edition_shown", brand=brand, run=str(edition.run), assets=written)
        elif (there := (await projection.shown()).get(brand)) != edition:
            # The catalogue was restored to an earlier moment, and it decides.
            log.warning("edition_unknown", brand=brand, run=str(there.run) if there else None)
            await projection.forget(brand)
            await store.mistaken(claim.target, [brand])
            return True
        self._reached("shown")
        await store.shown(claim)
        return True
