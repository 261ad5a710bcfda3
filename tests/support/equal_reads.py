"""Holds two databases' immediate reads together, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

import pytest

from triptych.model import Age, Asset, Run, Slice
from triptych.reads.read_stores import NotProjected, ReadStores
from triptych.runs.run_shown import BrandShown
from triptych.snapshots.brand_map import POINTS_MAX, encode_map
from triptych.snapshots.facets import OWN_FILTER, FacetsWanted
from triptych.snapshots.snapshot_shown import SnapshotShown
from triptych.snapshots.snapshot_store import AssetFilter, NearColour

T = TypeVar("T")
P = TypeVar("P")

FILTERS = (
    AssetFilter(),
    AssetFilter(media_type="image/*", shape="square"),
    AssetFilter(text="about"),
    AssetFilter(colour=NearColour(0x804020, 200.0)),
    AssetFilter(duplicated=False),
    AssetFilter(tag="shoe"),
)
FACETS_S = 60.0


async def every(
    read: Callable[[P], Awaitable[Slice[T, P]]], first: P
) -> AsyncIterator[Slice[T, P]]:
    """Yield all pages of a listing."""
    after = first
    while True:
        page = await read(after)
        yield page
        if page.next is None:
            return
        after = page.next


async def equal_pages(
    one: Callable[[P], Awaitable[Slice[T, P]]],
    other: Callable[[P], Awaitable[Slice[T, P]]],
    first: P,
) -> list[T]:
    """Assert that two listings have the same pages; return their rows."""
    rows: list[T] = []
    pages = [page async for page in every(one, first)]
    assert pages == [page async for page in every(other, first)]
    for page in pages:
        rows += page.rows
    return rows


async def assert_equal(
    postgres: ReadStores,
    mongodb: ReadStores,
    *,
    limit: int = 7,
    filters: Sequence[AssetFilter] = FILTERS,
) -> int:
    """Assert that both answer every read of every brand alike; return how many assets were read."""

    def brands(stores: ReadStores) -> Callable[[str], Awaitable[Slice[BrandShown, str]]]:
        return lambda after: stores.brands.brands_slice(
            after=after, name=None, state=None, limit=limit
        )

    count = 0
    listed = await equal_pages(brands(postgres), brands(mongodb), "")
    names = [shown.name for shown in listed if shown.current_run is not None]
    covers = [await each.snapshots.covers(names) for each in (postgres, mongodb)]
    assert covers[0] == covers[1]
    for shown in listed:
        run_id = await postgres.brands.snapshot_of(shown.name)
        if run_id is None:
            with pytest.raises(NotProjected):
                await mongodb.brands.snapshot_of(shown.name)
            continue
        assert await mongodb.brands.snapshot_of(shown.name) == run_id
        both = [await each.brands.scheduled(shown.name) for each in (postgres, mongodb)]
        assert both[0] == both[1]
        await _equal_snapshots(postgres, mongodb, shown.name)
        for matching in filters:
            found = await _equal_assets(postgres, mongodb, run_id, matching, limit)
            if matching == AssetFilter():
                count += len(found)
                await _equal_marks(postgres, mongodb, shown.name, run_id, found)
        await _equal_findings(postgres, mongodb, run_id)
    return count


async def _equal_snapshots(postgres: ReadStores, mongodb: ReadStores, brand: str) -> None:
    pages = []
    for stores in (postgres, mongodb):

        async def read(before: Age | None, stores: ReadStores = stores) -> Slice[Run, Age | None]:
            page = await stores.snapshots.snapshots_slice(brand, before=before, limit=2)
            return Slice([SnapshotShown.of(run, current=None) for run in page.rows], page.next)  # type: ignore[misc]

        pages.append([page async for page in every(read, None)])
    assert pages[0] == pages[1]


async def _equal_assets(
    postgres: ReadStores, mongodb: ReadStores, run_id: UUID, matching: AssetFilter, limit: int
) -> list[Asset]:
    def read(stores: ReadStores) -> Callable[[bytes], Awaitable[Slice[Asset, bytes]]]:
        return lambda after: stores.snapshots.assets_slice(
            run_id, matching, after=after, limit=limit
        )

    return await equal_pages(read(postgres), read(mongodb), b"")


async def _equal_marks(
    postgres: ReadStores, mongodb: ReadStores, brand: str, run_id: UUID, found: Sequence[Asset]
) -> None:
    keys = [asset.key for asset in found]
    both = [await each.snapshots.marks(run_id, keys) for each in (postgres, mongodb)]
    assert both[0] == both[1]
    for key in keys[:3]:
        whole = [await each.snapshots.asset_and_marks(brand, key) for each in (postgres, mongodb)]
        assert whole[0] == whole[1]


async def _equal_findings(postgres: ReadStores, mongodb: ReadStores, run_id: UUID) -> None:
    insights = [await each.snapshots.insights(run_id) for each in (postgres, mongodb)]
    assert insights[0] == insights[1]
    wanted = FacetsWanted(list(OWN_FILTER), AssetFilter(), 20, FACETS_S)
    facets = [await each.facets.facets(run_id, wanted) for each in (postgres, mongodb)]
    assert facets[0] == facets[1]
    at = [await each.maps.mapped_at(run_id) for each in (postgres, mongodb)]
    assert at[0] == at[1]
    if at[0] is not None:
        maps = [await each.maps.points(run_id, limit=POINTS_MAX) for each in (postgres, mongodb)]
        assert encode_map(run_id, maps[0]) == encode_map(run_id, maps[1])
