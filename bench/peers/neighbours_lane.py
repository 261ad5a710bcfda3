"""Exact neighbours by scikit-learn or by faiss; clusters by HDBSCAN on a graph of faiss'."""

from __future__ import annotations

from collections.abc import Callable

import faiss
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import HDBSCAN
from sklearn.neighbors import NearestNeighbors

from bench.track import Track

NEAREST = 16
"""As our candidates."""
COSINE_MIN = 0.5
GRAPH = 10
SMALLEST_MIN, SMALLEST_MAX = 3, 50
DENSITY = 3


def by_sklearn(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    model = NearestNeighbors(n_neighbors=NEAREST + 1, metric="cosine", algorithm="brute", n_jobs=-1)
    far, found = model.fit(vectors).kneighbors(vectors)
    return 1 - far, found


def by_faiss(vectors: np.ndarray, count: int = NEAREST + 1) -> tuple[np.ndarray, np.ndarray]:
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    near, found = index.search(vectors, count)
    return near, found


def pairs(search: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Callable:
    """Return what finds the pairs that are near, by a search."""

    def work(vectors: np.ndarray) -> np.ndarray:
        near, found = search(vectors)
        rows = np.repeat(np.arange(len(vectors)), found.shape[1])
        others = found.ravel()
        good = (near.ravel() >= COSINE_MIN) & (others != rows)
        both = np.stack([rows[good], others[good]], axis=1)
        return np.unique(np.sort(both, axis=1), axis=0)

    return work


def labels(vectors: np.ndarray) -> np.ndarray:
    """Return clusters: all pairs compared exactly, then HDBSCAN on the graph of neighbours."""
    count = len(vectors)
    near, found = by_faiss(vectors, GRAPH + 1)
    rows = np.repeat(np.arange(count), GRAPH + 1)
    far = np.sqrt(np.maximum(2 - 2 * near.astype(np.float64), 0)).ravel()
    good = found.ravel() != rows
    graph = csr_matrix(
        (np.maximum(far[good], 1e-6), (rows[good], found.ravel()[good])), shape=(count, count)
    )
    graph = graph.maximum(graph.T)
    _, part = connected_components(graph, directed=False)
    _, firsts = np.unique(part, return_index=True)
    if len(firsts) > 1:
        # HDBSCAN takes one piece only.
        ties = (np.full(len(firsts) - 1, 4.0), (firsts[:-1], firsts[1:]))
        tied = csr_matrix(ties, shape=graph.shape)
        graph = (graph + tied + tied.T).tocsr()
    smallest = min(max(round(np.sqrt(count) / 8), SMALLEST_MIN), SMALLEST_MAX)
    model = HDBSCAN(min_cluster_size=smallest, min_samples=DENSITY, metric="precomputed", copy=True)
    return model.fit_predict(graph)


WORKS = {"sklearn": pairs(by_sklearn), "faiss": pairs(by_faiss), "labels": labels}


def main() -> None:
    track = Track()
    vectors = np.load(track.arguments["vectors"]).astype(np.float32)
    work = WORKS[track.arguments["what"]]
    work(vectors[:500])
    track.say()
    while track.order() is not None:
        np.save(track.arguments["out"], work(vectors))
        track.say()


if __name__ == "__main__":
    main()
