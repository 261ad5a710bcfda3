"""Laying points out on a plane so that near ones stay near: t-SNE on a graph of neighbours.

van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008, with the repulsion interpolated on
a grid (Linderman et al., 2019), which takes time and memory in proportion to the points. openTSNE's
(Poličar, Stražar and Zupan, 2024). It lets go of the interpreter's lock while it works: measured
with 100,000 points, another thread waited 0.1 s at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.nearest import Nearest

PERPLEXITY_SHARE = 1 / 3
"""Of the neighbours known, how many a point is about to lie near."""
EARLY_ROUNDS = 200
"""With attraction exaggerated, so that clusters find each other."""
EXAGGERATION = 12
ROUNDS = 500
AGAIN_ROUNDS = 150
"""From a layout that is one already."""
GRID_FROM = 5_000
"""Points from which the grid is faster than a tree (Barnes and Hut)."""
START_SPREAD = 1e-4
TOLD_EVERY = 10
THREADS = 1
"""More make it hardly faster (30,000 points: 11 s with one and with two), cost twice the time and
more where other work wants the cores, and give another layout on every machine."""

Plane = npt.NDArray[np.float64]
"""(n, 2)."""


def lay_out(nearest: Nearest, start: Plane, progress: Callable[[float], None]) -> Plane:
    """Return places for points that have none: ``start`` only says who is on which side.

    Every point needs as many neighbours as the others. The same start gives the same layout.
    """
    spread = start.std(axis=0).max()
    begun = _begun(nearest, START_SPREAD * (start - start.mean(axis=0)) / (spread or 1.0))
    rounds = EARLY_ROUNDS + ROUNDS
    early = begun.optimize(
        n_iter=EARLY_ROUNDS,
        exaggeration=EXAGGERATION,
        momentum=0.5,
        **_told(lambda done: progress(done / rounds)),
    )
    done = early.optimize(
        n_iter=ROUNDS,
        momentum=0.8,
        **_told(lambda done: progress((EARLY_ROUNDS + done) / rounds)),
    )
    return np.asarray(done, np.float64)


def settle(nearest: Nearest, start: Plane, progress: Callable[[float], None]) -> Plane:
    """Return places for points that mostly have theirs, in the units that `lay_out` gave."""
    again = _begun(nearest, start).optimize(
        n_iter=AGAIN_ROUNDS, momentum=0.5, **_told(lambda done: progress(done / AGAIN_ROUNDS))
    )
    return np.asarray(again, np.float64)


def _begun(nearest: Nearest, start: Plane) -> Any:
    # Takes a second, which no other command should wait for.
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    count, k = nearest.indices.shape
    distances = np.sqrt(np.maximum(2 - 2 * nearest.cosines.astype(np.float64), 0))
    affinities = PerplexityBasedNN(
        knn_index=PrecomputedNeighbors(nearest.indices.astype(np.int64), distances),
        perplexity=max(k * PERPLEXITY_SHARE, 1.0),
        n_jobs=THREADS,
    )
    return TSNEEmbedding(
        np.array(start, np.float64, order="C"),
        affinities,
        negative_gradient_method="fft" if count >= GRID_FROM else "bh",
        n_jobs=THREADS,
        random_state=0,
    )


def _told(progress: Callable[[float], None]) -> dict[str, object]:
    def tell(done: int, _divergence: float, _places: Plane) -> None:
        progress(done)

    return {"callbacks": tell, "callbacks_every_iters": TOLD_EVERY}
