"""Other brands are read page by page; what is gone or torn meanwhile is passed over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID, uuid4

import numpy as np
import pytest

from tests.support.snapshots import asset, digests, snapshot_of, unit
from triptych.ai import other_brands as others
from triptych.ai.ai_store import AssetVectors, BrandCells
from triptych.ai.other_brands import STEP, StoredOthers, space_of
from triptych.errors import SnapshotCollected
from triptych.model import Asset

T = TypeVar("T")


def described(name: str, *, torn: bool = False) -> BrandCells:
    keys = digests([f"{name} 0", f"{name} 1"], 16)
    named = digests([f"{name} 1", f"{name} {'new' if torn else 0}"], 16)
    cells = [
        {"key": key.tobytes().hex(), "size": n + 1, "length": 0.5} for n, key in enumerate(named)
    ]
    vectors = np.eye(2, dtype=np.float16)
    return BrandCells(name, uuid4(), cells, AssetVectors("cells", keys, vectors))


class FakeStores:
    """Brands by name, and one with five assets that is collected after the first page."""

    def __init__(self, brands: Sequence[BrandCells], *, gone: bool = False) -> None:
        self._brands = brands
        self._gone = gone
        self._assets = sorted((asset(uuid4(), n) for n in range(5)), key=lambda one: one.key)
        self.asked: list[tuple[Any, ...]] = []

    async def brand_cells(
        self, step: str, space: str, *, besides: str, after: str | None, limit: int
    ) -> Sequence[BrandCells]:
        self.asked.append((step, space, besides, after, limit))
        later = [one for one in self._brands if after is None or one.brand > after]
        return later[:limit]

    async def assets(self, run_id: UUID, *, after: bytes | None, limit: int) -> Sequence[Asset]:
        if self._gone and after is not None:
            raise SnapshotCollected(str(run_id))
        later = [one for one in self._assets if after is None or one.key > after]
        return later[:limit]


async def reading(stores: FakeStores, read: Callable[[StoredOthers], T]) -> T:
    snapshot = snapshot_of(unit(np.eye(2)), phash=[0, 0])
    stored = StoredOthers(stores, stores, snapshot)  # type: ignore[arg-type]
    return await asyncio.to_thread(read, stored)


async def test_brands_come_page_by_page_with_their_cells_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(others, "BRANDS_PAGE", 2)
    stores = FakeStores([described(name) for name in "abc"])
    found = await reading(stores, lambda stored: list(stored.brands()))
    assert [one.brand for one in found] == ["a", "b", "c"]
    # Cells are in the order of the result, whatever order their vectors came in.
    assert found[0].directions.tolist() == [[0, 1], [1, 0]]
    assert found[0].sizes.tolist() == [1, 2]
    assert found[0].mean.tolist() == pytest.approx([1 / 3, 1 / 6])
    assert [asked[3] for asked in stores.asked] == [None, "b", "c"]
    assert stores.asked[0][:3] == (STEP, space_of("m"), "nike")


async def test_a_brand_described_anew_while_it_is_read_is_passed_over() -> None:
    stores = FakeStores([described("a"), described("b", torn=True), described("c")])
    found = await reading(stores, lambda stored: list(stored.brands()))
    assert [one.brand for one in found] == ["a", "c"]


@pytest.mark.parametrize(
    ("limit", "gone", "sizes"), [(9, False, [2, 2, 1]), (3, False, [2, 1]), (9, True, [2])]
)
async def test_assets_come_up_to_the_limit_and_end_when_their_snapshot_does(
    limit: int, gone: bool, sizes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(others, "ASSETS_PAGE", 2)
    stores = FakeStores([described("a")], gone=gone)

    def read(stored: StoredOthers) -> list[int]:
        brand = next(iter(stored.brands()))
        return [len(page) for page in stored.assets(brand, limit)]

    assert await reading(stores, read) == sizes
