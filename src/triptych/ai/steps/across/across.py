"""The step `across`: describes a brand in a few vectors, for the steps of other brands.

They are the centroids of a few cells, kept as vectors in their own space
(`triptych.ai.other_brands.space_of`); `Others.brands` yields them. How two brands are related is
not stored here, where it would be as old as the AI phase of one of them: it is computed when asked
for (`triptych.snapshots.brand_relations`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.ai.context import StepResult, Vectors
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

CELLS_MAX = 16
CELL_POINTS_MIN = 8
"""A brand gets one cell for each this many distinct embeddings, up to `CELLS_MAX`."""
TRAINED_MAX = 20_000
"""Points from which the cells are computed."""
ROUNDS = 20
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
    """Describe the brand by its cells.

    The result::

        cells       {key, size, length}: for each cell, the asset nearest its centre, the number of
                    its embedded assets, and the length of their mean (1: all equal)

    Vectors: a unit vector for each cell.
    """
    points = find_points(snapshot)
    if snapshot.model is None or not len(points):
        return StepResult({"cells": []})
    small = reduced(snapshot, points, find_components(snapshot, points))
    cells = _cells(snapshot, points, small)
    result = {
        "cells": [
            {"key": snapshot.key(row), "size": int(size), "length": round(float(length), 4)}
            for row, size, length in zip(cells.rows, cells.sizes, cells.lengths, strict=True)
        ]
    }
    vectors = Vectors(space_of(snapshot.model), cells.rows, cells.directions.astype(np.float16))
    return StepResult(result, vectors=vectors)


ACROSS = Step("across", 2, find_across)


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
