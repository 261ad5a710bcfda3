"""Approximate nearest neighbours among many unit vectors, in bounded memory.

Vectors are divided into cells (k-means); a cell's vectors are compared with those of the nearest
cells by exact inner products. This is an inverted file index (Jégou et al., "Product Quantization
for Nearest Neighbor Search", 2011, without the quantizer). Up to `CANDIDATES` vectors the answer is
exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from triptych.ai.nearest import NOBODY, Nearest, find_nearest
from triptych.ai.points import Floats, Indices, blocks

CELL_POINTS = 256
"""Vectors in a cell on average."""
CANDIDATES = 8_000
"""At least this many vectors, from the nearest cells, are compared with each vector."""
TRAINED_MAX = 20_000
"""Sample of vectors from which the cells are computed."""
ROUNDS = 10
BLOCK_ROWS = 1_024


class Neighbourhood:
    """An index of vectors for neighbour queries. The same vectors give the same answers."""

    def __init__(self, vectors: Floats) -> None:
        self._vectors = vectors
        self._centres = _centres(vectors)
        cell_of = _nearest_centre(vectors, self._centres)
        self._order = np.argsort(cell_of, kind="stable")
        bounds = np.searchsorted(cell_of[self._order], np.arange(len(self._centres) + 1))
        self._bounds = bounds
        near = self._centres @ self._centres.T
        self._cells_near = np.argsort(-near, axis=1, kind="stable").astype(np.int32)

    def among(self, k: int, progress: Callable[[float], None] = lambda _: None) -> Nearest:
        """Return the ``k`` nearest other vectors of each vector."""
        count = len(self._vectors)
        found = Nearest.nothing(count, k)
        for cell in range(len(self._centres)):
            members = self._members(cell)
            self._answer(found, members, self._vectors, cell, alone=True)
            progress((cell + 1) / len(self._centres))
        return found

    def of(self, queries: Floats, k: int) -> Nearest:
        """Return the ``k`` nearest indexed vectors of each query vector."""
        found = Nearest.nothing(len(queries), k)
        cell_of = _nearest_centre(queries, self._centres)
        for cell in np.unique(cell_of):
            self._answer(found, np.flatnonzero(cell_of == cell), queries, int(cell), alone=False)
        return found

    def _members(self, cell: int) -> Indices:
        return self._order[self._bounds[cell] : self._bounds[cell + 1]]

    def _candidates(self, cell: int, enough: int) -> Indices:
        """Return the vectors of the nearest cells: at least ``enough``, if there are that many."""
        sizes = np.diff(self._bounds)[self._cells_near[cell]]
        taken = int(np.searchsorted(np.cumsum(sizes), enough)) + 1
        return np.sort(np.concatenate([self._members(c) for c in self._cells_near[cell][:taken]]))

    def _answer(
        self, found: Nearest, asking: Indices, vectors: Floats, cell: int, *, alone: bool
    ) -> None:
        """Answer the queries ``asking`` of one cell; with ``alone``, exclude each vector itself."""
        k = found.indices.shape[1]
        candidates = self._candidates(cell, max(CANDIDATES, k + 1))
        own = _positions(candidates, asking) if alone else None

        def cosines(these: slice, those: slice) -> Floats:
            product: Floats = vectors[asking[these]] @ self._vectors[candidates[those]].T
            return product

        near = find_nearest(cosines, asking.size, candidates.size, k, own=own)
        there = near.indices != NOBODY
        found.indices[asking] = np.where(there, candidates[near.indices], NOBODY)
        found.cosines[asking] = near.cosines


def _positions(ascending: Indices, wanted: Indices) -> Indices:
    """Return the position of each of ``wanted`` in the ascending array, or -1."""
    at = np.minimum(np.searchsorted(ascending, wanted), ascending.size - 1)
    return np.where(ascending[at] == wanted, at, -1)


def _centres(vectors: Floats) -> Floats:
    """Return the centroids of the cells."""
    cells = len(vectors) // CELL_POINTS
    if len(vectors) <= CANDIDATES:
        return np.zeros((1, vectors.shape[1]), np.float32)
    from sklearn.cluster import KMeans  # Slow import: one second.

    sample = vectors[: max(TRAINED_MAX, 4 * cells)]
    model = KMeans(cells, init="random", n_init=1, max_iter=ROUNDS, random_state=0, tol=0)
    return np.asarray(model.fit(sample).cluster_centers_, np.float32)


def _nearest_centre(vectors: Floats, centres: Floats) -> Indices:
    half = (centres**2).sum(axis=1) / 2
    nearest = np.empty(len(vectors), np.intp)
    for block in blocks(len(vectors), BLOCK_ROWS):
        nearest[block] = (vectors[block] @ centres.T - half).argmax(axis=1)
    return nearest
