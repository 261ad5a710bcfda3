"""Exact neighbours by scikit-learn or by faiss; clusters by HDBSCAN on a graph of faiss'."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import faiss
import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import HDBSCAN
from sklearn.neighbors import NearestNeighbors

from bench.program import Given, Ready

NEAREST = 16
"""As our candidates."""
COSINE_MIN = 0.5
GRAPH = 10
SMALLEST_MIN, SMALLEST_MAX = 3, 50
DENSITY = 3
APART = 4.0
"""What ties pieces of the graph: twice the largest distance there is."""
WARM_UP = 500


def by_sklearn(vectors: np.ndarray) -> np.ndarray:
    """Return the pairs that are near."""
    model = NearestNeighbors(n_neighbors=NEAREST + 1, metric="cosine", algorithm="brute", n_jobs=-1)
    far, found = model.fit(vectors).kneighbors(vectors)
    return pairs(1 - far, found)


def nearest(vectors: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the cosines and numbers of the nearest to each, itself first."""
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    near, found = index.search(vectors, count)
    return near, found


def by_faiss(vectors: np.ndarray) -> np.ndarray:
    """Return the pairs that are near."""
    return pairs(*nearest(vectors, NEAREST + 1))


def pairs(near: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Return each pair of neighbours once that is near enough."""
    rows, others = np.repeat(np.arange(len(found)), found.shape[1]), found.ravel()
    good = (near.ravel() >= COSINE_MIN) & (others != rows)
    return np.unique(np.sort(np.stack([rows[good], others[good]], axis=1), axis=1), axis=0)


def labels(vectors: np.ndarray) -> np.ndarray:
    """Return clusters: all pairs compared exactly, then HDBSCAN on the graph of neighbours."""
    count = len(vectors)
    near, found = nearest(vectors, GRAPH + 1)
    rows, others = np.repeat(np.arange(count), GRAPH + 1), found.ravel()
    far = np.sqrt(np.maximum(2 - 2 * near.astype(np.float64), 0)).ravel()
    good = others != rows
    ties = (np.maximum(far[good], 1e-6), (rows[good], others[good]))
    graph = csr_matrix(ties, shape=(count, count))
    graph = graph.maximum(graph.T)
    _, firsts = np.unique(connected_components(graph, directed=False)[1], return_index=True)
    if len(firsts) > 1:
        # HDBSCAN takes one piece only.
        pieces = (np.full(len(firsts) - 1, APART), (firsts[:-1], firsts[1:]))
        tied = csr_matrix(pieces, shape=graph.shape)
        graph = (graph + tied + tied.T).tocsr()
    smallest = min(max(round(np.sqrt(count) / 8), SMALLEST_MIN), SMALLEST_MAX)
    model = HDBSCAN(min_cluster_size=smallest, min_samples=DENSITY, metric="precomputed", copy=True)
    return np.asarray(model.fit_predict(graph))


@contextmanager
def peer(arguments: Given) -> Iterator[Ready]:
    vectors = np.load(arguments["vectors"]).astype(np.float32)
    find = {"sklearn": by_sklearn, "faiss": by_faiss, "labels": labels}[arguments["what"]]
    find(vectors[:WARM_UP])
    yield Ready(lambda _: np.save(arguments["out"], find(vectors)))
