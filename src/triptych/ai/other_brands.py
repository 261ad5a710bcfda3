"""Other brands' snapshots, read page by page, for steps that compare across brands."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import structlog

from triptych.ai.ai_store import AiStore, BrandCells
from triptych.ai.context import OtherBrand
from triptych.ai.step import Snapshot
from triptych.errors import NotFound
from triptych.model import Asset
from triptych.snapshots.snapshot_store import SnapshotStore

STEP = "across"
"""The step that publishes the cells of each brand."""
BRANDS_PAGE = 200
"""Brands read at a time: 8 MB of 1280-d vectors, with 16 cells each."""
ASSETS_PAGE = 1_000
READ_S = 60.0

T = TypeVar("T")

log = structlog.get_logger(__name__)


def space_of(model: str) -> str:
    """Return the name of the space in which brands' cells of an embedding model are kept."""
    return f"cells of {model}"


class StoredOthers:
    """`triptych.ai.context.Others` from the database. Call it from threads, not the event loop."""

    def __init__(self, ai: AiStore, snapshots: SnapshotStore, snapshot: Snapshot) -> None:
        self._ai = ai
        self._snapshots = snapshots
        self._brand = snapshot.brand
        self._model = snapshot.model
        self._loop = asyncio.get_running_loop()

    def brands(self) -> Iterator[OtherBrand]:
        """Yield every other brand that the step `across` has described, by name."""
        if self._model is None:
            return
        after: str | None = None
        while page := self._wait(
            self._ai.brand_cells(
                STEP, space_of(self._model), besides=self._brand, after=after, limit=BRANDS_PAGE
            )
        ):
            for described in page:
                if (brand := _read(described)) is not None:
                    yield brand
            after = page[-1].brand

    def assets(self, brand: OtherBrand, limit: int) -> Iterator[Sequence[Asset]]:
        """Yield a brand's first ``limit`` assets by key, some hundreds at a time."""
        after: bytes | None = None
        left = limit
        while left > 0:
            try:
                page = self._wait(
                    self._snapshots.assets(brand.run_id, after=after, limit=min(ASSETS_PAGE, left))
                )
            except NotFound as error:
                log.info("other_brand_gone", brand=brand.brand, error=str(error))
                return
            if not page:
                return
            yield page
            after = page[-1].key
            left -= len(page)

    def _wait(self, asking: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(asking, self._loop).result(READ_S)


def _read(described: BrandCells) -> OtherBrand | None:
    """Return the brand; None where its cells and vectors do not belong together.

    Two statements read them, and its AI phase may have published again in between.
    """
    vectors = described.vectors
    row_of = {key.tobytes().hex(): row for row, key in enumerate(vectors.keys)}
    if sorted(row_of) != sorted(str(cell["key"]) for cell in described.cells):
        return None
    rows = [row_of[str(cell["key"])] for cell in described.cells]
    return OtherBrand(
        described.brand,
        described.run_id,
        vectors.vectors[rows].astype(np.float32),
        np.array([float(cell["length"]) for cell in described.cells]),
        np.array([float(cell["size"]) for cell in described.cells]),
    )
