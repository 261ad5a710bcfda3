"""The step `across`: which brands look like this one, and which pictures appear under both.

A brand is described by the centroids of a few cells, kept as vectors in their own space
(`triptych.ai.other_brands.space_of`), and brands are compared by these. Only the assets of the
nearest brands are read, page by page, and only those near an asset of this brand are compared with
it. The result depends on the state of the other brands when the step runs.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.context import OtherBrand, StepResult, Vectors
from triptych.ai.nearest import NOBODY
from triptych.ai.neighbours import Neighbourhood
from triptych.ai.other_brands import space_of
from triptych.ai.points import (
    Floats,
    Indices,
    Points,
    blocks,
    find_components,
    find_points,
    reduced,
)
from triptych.ai.step import Snapshot, Step
from triptych.model import Asset

CELLS_MAX = 16
CELL_POINTS_MIN = 8
"""A brand gets one cell for each this many distinct embeddings, up to `CELLS_MAX`."""
TRAINED_MAX = 20_000
"""Points from which the cells are computed."""
ROUNDS = 20
NEAREST_MAX = 20
"""The most brands in a result, most similar first."""
LOOKED_MAX = 10
"""The most of these brands whose assets are read…"""
ASSETS_MAX = 20_000
"""…and the most assets of each: the first by key, an even sample."""
NEIGHBOURS = 3
"""Pictures of this brand that each picture of another brand is compared with."""
COSINE_MIN = 0.9
HAMMING_MAX_BITS = 10
"""Look-alikes agree in their embeddings and in their 64-bit hashes, up to this many bits."""
STRUCTURE_BITS = (24, 40)
"""Hashes with fewer or more bits set come from pictures without detail and prove nothing."""
LOOKALIKES_MAX = 200
"""The most look-alikes in a result, most alike first; all are counted."""
BLOCK_ROWS = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """This brand's cells, ordered by their assets."""

    rows: Indices
    """(c,): the asset nearest each cell's centre."""
    directions: Floats
    lengths: npt.NDArray[np.float64]
    sizes: npt.NDArray[np.float64]


def find_across(snapshot: Snapshot) -> StepResult:
    """Describe the brand for comparison, and compare it with the brands described so far.

    The result::

        cells       {key, size, length}: for each cell, the asset nearest its centre, the number of
                    its embedded assets, and the length of their mean (1: all equal)
        nearest     {brand, similarity, lookalikes, compared}: the most similar brands first; how
                    many of their pictures appear here too, and how many were compared (null: none
                    were). Similarity is the mean cosine of each cell with the other brand's
                    nearest one, weighted by size, in both directions.
        brands      other brands that were compared
        lookalikes  {key, brand, other: key, url, kind: "exact" | "near", cosine}: the most alike
                    first; for each picture of another brand, the most similar one of this brand
        lookalike_count

    Vectors: a unit vector for each cell.
    """
    points = find_points(snapshot)
    if snapshot.model is None or not len(points):
        empty: dict[str, Any] = {"cells": [], "nearest": [], "brands": 0}
        return StepResult({**empty, "lookalikes": [], "lookalike_count": 0})
    components = find_components(snapshot, points)
    small = reduced(snapshot, points, components)
    cells = _cells(snapshot, points, small)
    near, count = _nearest(snapshot, cells)
    seeking = _Seeking(snapshot, points, components.of, small)
    nearest, lookalikes = [], []
    for number, (similarity, brand) in enumerate(near):
        found: list[dict[str, Any]] = []
        looked = 0
        if number < LOOKED_MAX:
            for page in snapshot.context.others.assets(brand, ASSETS_MAX):
                looked += len(page)
                found += seeking.among(brand, page)
            snapshot.context.progress((number + 1) / min(len(near), LOOKED_MAX))
        lookalikes += found
        nearest.append(
            {
                "brand": brand.brand,
                "similarity": round(similarity, 3),
                "lookalikes": len(found) if number < LOOKED_MAX else None,
                "compared": looked if number < LOOKED_MAX else None,
            }
        )
    lookalikes.sort(key=lambda one: (-one["cosine"], one["brand"], one["other"]))
    result = {
        "cells": [
            {"key": snapshot.key(row), "size": int(size), "length": round(float(length), 4)}
            for row, size, length in zip(cells.rows, cells.sizes, cells.lengths, strict=True)
        ],
        "nearest": nearest,
        "brands": count,
        "lookalikes": lookalikes[:LOOKALIKES_MAX],
        "lookalike_count": len(lookalikes),
    }
    vectors = Vectors(space_of(snapshot.model), cells.rows, cells.directions.astype(np.float16))
    return StepResult(result, vectors=vectors)


ACROSS = Step("across", 1, find_across)


def _cells(snapshot: Snapshot, points: Points, small: Floats) -> _Cells:
    from sklearn.cluster import KMeans  # Slow import: one second.

    count = min(CELLS_MAX, 1 + len(points) // CELL_POINTS_MIN)
    model = KMeans(count, n_init=1, max_iter=ROUNDS, random_state=0).fit(small[:TRAINED_MAX])
    cell_of = np.asarray(model.predict(small), np.intp)
    # The mean is taken over assets in the full space: only that is comparable between brands.
    copies = points.copies
    sums = np.zeros((count, snapshot.embeddings.shape[1]))
    for block in blocks(len(points), BLOCK_ROWS):
        vectors = snapshot.embeddings[points.rows[block]].astype(np.float32)
        np.add.at(sums, cell_of[block], vectors * copies[block, None])
    sizes = np.bincount(cell_of, copies, count).astype(np.float64)
    # Drop cells whose vectors cancel out: they have no direction.
    there = np.flatnonzero(np.linalg.norm(sums, axis=1) > 0)
    sums, sizes = sums[there], sizes[there]
    lengths = np.linalg.norm(sums, axis=1)
    directions = (sums / lengths[:, None]).astype(np.float32)
    best = np.full(len(points), -np.inf)
    for block in blocks(len(points), BLOCK_ROWS):
        vectors = snapshot.embeddings[points.rows[block]].astype(np.float32)
        own = np.searchsorted(there, cell_of[block])
        best[block] = np.einsum("nd,nd->n", vectors, directions[np.minimum(own, len(there) - 1)])
    middles = [
        members[best[members].argmax()]
        for members in (np.flatnonzero(cell_of == cell) for cell in there)
    ]
    rows = snapshot.embedded[points.rows[middles]]
    # Ordered by asset, so that the result does not depend on k-means' numbering.
    order = np.argsort(rows)
    return _Cells(rows[order], directions[order], (lengths / sizes)[order], sizes[order])


def _nearest(snapshot: Snapshot, cells: _Cells) -> tuple[list[tuple[float, OtherBrand]], int]:
    """Return the most similar brands in order, and the number of brands compared."""
    best: list[tuple[float, str, OtherBrand]] = []
    count = 0
    for brand in snapshot.context.others.brands():
        if brand.directions.shape[1] != cells.directions.shape[1]:
            continue  # Same model name but another dimension: comparing would raise.
        count += 1
        entry = (_similarity(cells, brand), brand.brand, brand)
        if len(best) < NEAREST_MAX:
            heapq.heappush(best, entry)
        else:
            heapq.heappushpop(best, entry)
    ordered = sorted(best, key=lambda entry: (-entry[0], entry[1]))
    return [(similarity, brand) for similarity, _, brand in ordered], count


def _similarity(cells: _Cells, brand: OtherBrand) -> float:
    cosines = cells.directions @ brand.directions.T
    ours = np.average(cosines.max(axis=1), weights=cells.sizes)
    theirs = np.average(cosines.max(axis=0), weights=brand.sizes)
    return float((ours + theirs) / 2)


class _Seeking:
    """Finds this brand's pictures in pages of other brands' assets."""

    def __init__(self, snapshot: Snapshot, points: Points, small_of: Any, small: Floats) -> None:
        self._snapshot = snapshot
        self._points = points
        self._small_of = small_of
        self._neighbourhood = Neighbourhood(small)
        # The first asset of each content and of each point, by key.
        self._asset_of_bytes: dict[bytes, int] = {}
        for asset in points.assets.tolist():
            self._asset_of_bytes.setdefault(snapshot.sha256[asset].tobytes(), asset)

    def among(self, brand: OtherBrand, page: Sequence[Asset]) -> list[dict[str, Any]]:
        """Return the look-alikes in a page of another brand."""
        found = []
        rest: list[Asset] = []
        for asset in page:
            own = self._asset_of_bytes.get(asset.sha256)
            if own is not None:
                found.append(self._entry(brand, asset, own, "exact", 1.0))
            elif asset.embedding is not None and asset.model == self._snapshot.model:
                rest.append(asset)
        found += [
            self._entry(brand, asset, own, "near", cosine)
            for asset, own, cosine in self._near(rest)
        ]
        return found

    def _near(self, page: Sequence[Asset]) -> Iterator[tuple[Asset, int, float]]:
        hashed = [asset for asset in page if _structured(asset.phash)]
        if not hashed:
            return
        theirs = np.stack([asset.embedding for asset in hashed if asset.embedding is not None])
        # The reduced space only preselects candidates; the cosines below are those of the
        # embeddings.
        near = self._neighbourhood.of(self._small_of(theirs), NEIGHBOURS).indices
        rows = self._points.rows[np.maximum(near, 0)]
        ours = self._snapshot.embeddings[rows].astype(np.float32)
        cosines = np.einsum("nd,nkd->nk", theirs, ours)
        assets = self._snapshot.embedded[rows]
        own_hashes = self._snapshot.phash[assets].view(np.uint64)
        hashes = np.array([asset.phash for asset in hashed], np.int64).view(np.uint64)
        apart = np.bitwise_count(own_hashes ^ hashes[:, None])
        alike = (near != NOBODY) & (cosines >= COSINE_MIN) & (apart <= HAMMING_MAX_BITS)
        best = np.where(alike, cosines, -1.0).argmax(axis=1)
        for row in np.flatnonzero(alike.any(axis=1)).tolist():
            column = best[row]
            yield hashed[row], int(assets[row, column]), float(cosines[row, column])

    def _entry(
        self, brand: OtherBrand, asset: Asset, own: int, kind: str, cosine: float
    ) -> dict[str, Any]:
        return {
            "key": self._snapshot.key(own),
            "brand": brand.brand,
            "other": asset.key.hex(),
            "url": asset.url,
            "kind": kind,
            "cosine": round(min(cosine, 1.0), 3),
        }


def _structured(phash: int | None) -> bool:
    if phash is None:
        return False
    bits = (phash & 0xFFFF_FFFF_FFFF_FFFF).bit_count()
    return STRUCTURE_BITS[0] <= bits <= STRUCTURE_BITS[1]
