"""Brands, their sources and schedules in memory."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from typing_extensions import override

from triptych.errors import Conflict
from triptych.model import Brand, RunState, Slice
from triptych.runs.brand_store import TRUSTED_MAX, BrandStore, DueBrand
from triptych.runs.given_urls import UNUSED_S, GivenUrl, decode_urls, encode_urls, source_of
from triptych.runs.run_shown import BrandShown
from triptych.testing.memory_state import BrandRow, MemoryState

MICROSECONDS = 1_000_000


class MemoryBrandStore(BrandStore):
    """`BrandStore` in memory."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    def _brand(self, row: BrandRow) -> Brand:
        runs = self._state.newest_first(row.name)
        snapshot = self._state.snapshot_row(row.name)
        changed = max([row.changed_at, *(run.changed_at for run in runs[:2])])
        return Brand(
            name=row.name,
            source=row.source,
            current_run=row.current_run,
            assets=0 if snapshot is None else len(snapshot.assets),
            latest=runs[0].run if runs else None,
            version=round(changed.timestamp() * MICROSECONDS),
        )

    def _scheduled(self, row: BrandRow) -> BrandShown:
        return BrandShown.of(self._brand(row), schedule=row.schedule, due_at=row.due_at)

    def _by_name(self) -> list[BrandRow]:
        return [self._state.brands[name] for name in sorted(self._state.brands)]

    @override
    async def brands(self) -> Sequence[Brand]:
        return [self._brand(row) for row in self._by_name()]

    @override
    async def brand(self, name: str) -> Brand:
        return self._brand(self._state.brand_row(name))

    @override
    async def brands_of(self, names: Sequence[str], run_ids: Sequence[UUID]) -> Sequence[Brand]:
        runs = [self._state.runs[one] for one in run_ids if one in self._state.runs]
        wanted = {*names, *(row.run.brand for row in runs)}
        return [self._brand(row) for row in self._by_name() if row.name in wanted]

    @override
    async def brands_slice(
        self,
        *,
        after: str,
        name: str | None,
        state: RunState | None,
        limit: int,
        among: frozenset[str] | None = None,
    ) -> Slice[BrandShown, str]:
        found = [
            shown
            for shown in map(self._scheduled, self._by_name())
            if shown.name > after
            and (among is None or shown.name in among)
            and (name is None or name.lower() in shown.name.lower())
            and state in (None, shown.state)
        ]
        page = found[:limit]
        return Slice(page, page[-1].name if len(found) > limit else None)

    @override
    async def scheduled(self, name: str) -> BrandShown:
        return self._scheduled(self._state.brand_row(name))

    @override
    async def snapshot_of(self, brand: str) -> UUID | None:
        return self._state.brand_row(brand).current_run

    @override
    async def put_brand(
        self, name: str, *, source: str | None, schedule: str | None, due_at: datetime | None
    ) -> None:
        row = self._state.brands.get(name)
        if row is not None and row.deleting:
            raise Conflict(f"Brand {name!r} is being deleted.", remedy="Try again when it is gone.")
        row = self._state.upsert_brand(name, None)
        due = row.due_at if row.schedule == schedule else due_at
        fields = {"source_run": None, "source_before": None, "schedule": schedule, "due_at": due}
        self._state.change_brand(row, source=source, **fields)

    @override
    async def whole_source(self, brand: str, source: str | None) -> str | None:
        return source

    @override
    async def keep_urls(self, brand: str, urls: Sequence[GivenUrl]) -> str:
        kept, now = encode_urls(urls), self._state.now()
        source = source_of(kept)
        self._state.url_lists[brand, source] = (kept, now)
        for place, (_, kept_at) in list(self._state.url_lists.items()):
            if kept_at < now - timedelta(seconds=UNUSED_S) and not self._is_used(*place):
                del self._state.url_lists[place]
        return source

    @override
    async def trust_source(self, brand: str, source: str) -> None:
        known = self._state.trusted_sources.setdefault(brand, {})
        known.pop(source, None)
        known[source] = None
        for oldest in list(known)[:-TRUSTED_MAX]:
            del known[oldest]

    @override
    async def is_trusted(self, brand: str, source: str) -> bool:
        return source in self._state.trusted_sources.get(brand, {})

    def _is_used(self, brand: str, source: str) -> bool:
        row = self._state.brands.get(brand)
        runs = [one.run for one in self._state.newest_first(brand)]
        unread = any(run.source == source and not run.sealed for run in runs)
        return unread or (row is not None and row.source == source)

    @override
    async def kept_urls(self, brand: str, source: str) -> Sequence[GivenUrl] | None:
        known = self._state.url_lists.get((brand, source))
        return None if known is None else decode_urls(known[0])

    @override
    async def due_brands(self, *, limit: int) -> Sequence[DueBrand]:
        now = self._state.now()
        due = [
            DueBrand(row.name, row.schedule or "", row.due_at)
            for row in self._state.brands.values()
            if row.due_at is not None and row.due_at <= now and not row.deleting
        ]
        return sorted(due, key=lambda one: one.due_at)[:limit]

    @override
    async def advance_schedule(self, name: str, *, seen: datetime, due_at: datetime | None) -> bool:
        row = self._state.brands.get(name)
        if row is None or row.due_at != seen:
            return False
        self._state.change_brand(row, due_at=due_at)
        return True

    @override
    async def begin_deletion(self, brand: str) -> None:
        row = self._state.brand_row(brand)
        self._state.change_brand(row, deleting=True, current_run=None, source=None)
