"""Laying out points in a plane so that neighbours stay close: t-SNE on a neighbour graph.

van der Maaten and Hinton, "Visualizing Data using t-SNE", 2008, with the repulsion interpolated on
a grid (Linderman et al., 2019), which takes time and memory in proportion to the points. The
implementation is openTSNE (Poličar, Stražar and Zupan, 2024). It releases the GIL while it works:
measured with 100,000 points, another thread waited 0.1 s at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.nearest import Nearest

PERPLEXITY_SHARE = 1 / 3
"""The effective number of neighbours of a point."""
EARLY_ROUNDS = 200
"""Iterations of early exaggeration: stronger attraction, so that clusters form."""
EXAGGERATION = 12
ROUNDS = 500
AGAIN_ROUNDS = 150
"""Iterations when the start is already a layout."""
GRID_FROM = 5_000
"""Number of points from which the grid is faster than a Barnes-Hut tree."""
START_SPREAD = 1e-4
REPORTED_EVERY = 10
THREADS = 1
"""More threads are hardly faster (30,000 points: 11 s with one and with two), take at least twice
the time where other work needs the cores, and give a different layout on every machine."""

Plane = npt.NDArray[np.float64]
"""(n, 2)."""


def lay_out(nearest: Nearest, start: Plane, progress: Callable[[float], None]) -> Plane:
    """Lay out points from scratch; ``start`` gives only a rough initial arrangement.

    All points need the same number of neighbours. The same start gives the same layout.
    """
    spread = start.std(axis=0).max()
    begun = _begun(nearest, START_SPREAD * (start - start.mean(axis=0)) / (spread or 1.0))
    rounds = EARLY_ROUNDS + ROUNDS
    early = begun.optimize(
        n_iter=EARLY_ROUNDS,
        exaggeration=EXAGGERATION,
        momentum=0.5,
        **_reported(lambda done: progress(done / rounds)),
    )
    done = early.optimize(
        n_iter=ROUNDS,
        momentum=0.8,
        **_reported(lambda done: progress((EARLY_ROUNDS + done) / rounds)),
    )
    return np.asarray(done, np.float64)


def refine(nearest: Nearest, start: Plane, progress: Callable[[float], None]) -> Plane:
    """Refine a layout in which most points have a place, in the units of `lay_out`."""
    again = _begun(nearest, start).optimize(
        n_iter=AGAIN_ROUNDS, momentum=0.5, **_reported(lambda done: progress(done / AGAIN_ROUNDS))
    )
    return np.asarray(again, np.float64)


def _begun(nearest: Nearest, start: Plane) -> Any:
    # Imported here: it takes a second, which other commands should not pay.
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.nearest_neighbors import PrecomputedNeighbors

    count, k = nearest.indices.shape
    # Euclidean distances of unit vectors, from their cosines.
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


def _reported(progress: Callable[[float], None]) -> dict[str, object]:
    def report(done: int, _divergence: float, _places: Plane) -> None:
        progress(done)

    return {"callbacks": report, "callbacks_every_iters": REPORTED_EVERY}
