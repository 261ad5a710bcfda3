"""The map: whether like lies near like, and whether it stays where it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from evals.acquired import part
from evals.clusters import FIRST_SHARE, Labels, brands, subjects
from evals.page import Figure, Findings
from triptych.ai.context import Context, Earlier
from triptych.ai.step import Snapshot
from triptych.ai.steps.map.map import find_map

NEIGHBOURS = 10

Plane = npt.NDArray[np.float64]


def measure() -> Findings:
    """Measure the map."""
    return Findings(
        "Map",
        f"""
The stamps and icons of the room `clusters`. Trustworthiness (Venna and Kaski, 2001), of
{NEIGHBOURS} neighbours: 1 if no two different pictures are close to each other. 1-NN: the
share of pictures whose nearest neighbour on the map shows the same subject. Moved: a brand grows
from {FIRST_SHARE:.0%} of its pictures to all; the median distance between a picture's position
before and after, on a map of width 2. Baselines: the first two principal components, and
scikit-learn's t-SNE with its own settings; both use the pictures' embeddings and are scaled to
the same width.
""",
        [*_figures("stamps", *subjects()), *_figures("icons", *brands())],
    )


def _figures(what: str, snapshot: Snapshot, subject: Labels) -> list[Figure]:
    first = np.flatnonzero(np.random.default_rng(0).random(len(snapshot)) < FIRST_SHARE)
    before = part(snapshot, first)
    small = find_map(before)
    marks = {name: list(column) for name, column in small.marks.items()}
    earlier = Earlier(before.keys, marks, {"map": small.result})
    grown = find_map(replace(snapshot, context=Context(earlier=earlier)))
    ours = _plane(find_map(snapshot).marks)
    systems = {"Triptych": ours, "PCA": _pca(snapshot), "scikit-learn's t-SNE": _tsne(snapshot)}
    moved = {
        "Triptych": (_plane(small.marks), _plane(grown.marks)),
        "PCA": (_pca(before), _pca(snapshot)),
        "scikit-learn's t-SNE": (_tsne(before), _tsne(snapshot)),
    }
    vectors = snapshot.embeddings.astype(np.float64)
    return [
        Figure(
            f"{what}: trustworthiness",
            {name: _trust(vectors, plane) for name, plane in systems.items()},
            "> PCA",
        ),
        Figure(
            f"{what}: trustworthiness, grown",
            {
                "Triptych": _trust(vectors, _plane(grown.marks)),
                "PCA": None,
                "scikit-learn's t-SNE": None,
            },
        ),
        Figure(
            f"{what}: 1-NN accuracy on the map",
            {name: _one_nearest(plane, subject) for name, plane in systems.items()},
        ),
        Figure(
            f"{what}: moved",
            {
                name: float(np.median(np.linalg.norm(then - now[first], axis=1)))
                for name, (then, now) in moved.items()
            },
        ),
    ]


def _plane(marks: Mapping[str, Any]) -> Plane:
    return np.array([marks["x"], marks["y"]], np.float64).T


def _pca(snapshot: Snapshot) -> Plane:
    from sklearn.decomposition import PCA

    return _fitted(PCA(2, random_state=0).fit_transform(snapshot.embeddings.astype(np.float64)))


def _tsne(snapshot: Snapshot) -> Plane:
    from sklearn.manifold import TSNE

    return _fitted(TSNE(random_state=0).fit_transform(snapshot.embeddings.astype(np.float32)))


def _fitted(plane: Plane) -> Plane:
    low, high = plane.min(axis=0), plane.max(axis=0)
    return np.asarray((plane - (low + high) / 2) * 2 / (high - low).max(), np.float64)


def _trust(vectors: Plane, plane: Plane) -> float:
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(vectors, plane, n_neighbors=NEIGHBOURS))


def _one_nearest(plane: Plane, subject: Labels) -> float:
    away = np.linalg.norm(plane[:, None] - plane[None, :], axis=2)
    np.fill_diagonal(away, np.inf)
    return float((subject[away.argmin(axis=1)] == subject).mean())
