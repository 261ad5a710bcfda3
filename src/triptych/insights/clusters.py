"""The step `clusters`: families of pictures that look alike, found by density (HDBSCAN).

Nothing is forced into a cluster: what belongs to none is noise. The embeddings are first reduced
to their `DIMENSIONS` principal components, where density can still be told.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.insights.step import Snapshot, Step

DIMENSIONS = 32
FIT_MAX = 10_000
"""Distinct embeddings that clusters are found in: it takes time by the square of their number, and
holds the interpreter's lock for a part of it (0.7 s). The others join the nearest cluster, if they
lie within its radius."""
SMALLEST_MIN = 3
SMALLEST_MAX = 50
"""The size from which a group is a cluster grows with the snapshot, between these two: a quarter
of the square root of the embeddings it is found in."""
NEIGHBOURS = 3
"""HDBSCAN's ``min_samples``: more of them make more noise."""
RADIUS_QUANTILE = 0.95
"""A cluster's radius: the distance from its centre within which this share of it lies."""
STRAY_FACTOR = 3.0
"""Members this many times as far from the centre as the median member are noise after all."""
REPRESENTATIVES = 5
MEMBERS_MAX = 1_000
"""Members named of a cluster, nearest its centre first; all are counted."""
BLOCK_ROWS = 4_096
"""Embeddings reduced at a time: 21 MB of 1280-d in single precision."""
DIGEST_BYTES = 16
NOISE = -1

Floats = npt.NDArray[np.float32]
Distances = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]


def find_clusters(snapshot: Snapshot) -> dict[str, Any]:
    """Return the snapshot's clusters.

    Assets of one embedding stay together and count once when density is measured, so copies alone
    make no cluster, unless they are as many as the smallest may be. The order of the assets
    changes nothing. Assets without an embedding take no part.

    The result::

        clusters    largest first: {size, representatives: [key, …], members: [key, …]};
                    both nearest the centre first, representatives of different embeddings
        cluster_count
        clustered   assets in clusters
        noise       embedded assets in none
        smallest    points that a cluster had at least when it was found
        fitted      distinct embeddings that the clusters were found in
        truncated   true when members were left out for their number
    """
    assets, points, point_of = _distinct(snapshot)
    smallest = _smallest(min(points.size, FIT_MAX))
    if points.size >= 2 * smallest:
        reduced = _reduced(snapshot, points)
        labels, distances = _settle(reduced, _density_labels(reduced[:FIT_MAX], smallest))
        fitted = min(points.size, FIT_MAX)
    else:
        labels, distances, fitted = np.full(points.size, NOISE), np.zeros(points.size), 0
    _promote_copies(labels, np.bincount(point_of, minlength=points.size), smallest)
    families = _families(labels[point_of], distances[point_of])
    families.sort(key=lambda family: (-family.size, snapshot.key(assets[family[0]])))
    clustered = sum(family.size for family in families)
    return {
        "clusters": [_described(snapshot, assets, family, point_of) for family in families],
        "cluster_count": len(families),
        "clustered": int(clustered),
        "noise": int(assets.size - clustered),
        "smallest": smallest,
        "fitted": fitted,
        "truncated": any(family.size > MEMBERS_MAX for family in families),
    }


CLUSTERS = Step("clusters", 1, find_clusters)


def _smallest(fitted: int) -> int:
    """Return how many make a cluster."""
    return min(max(round(math.sqrt(fitted) / 4), SMALLEST_MIN), SMALLEST_MAX)


def _distinct(snapshot: Snapshot) -> tuple[Indices, Indices, Indices]:
    """Find the distinct embeddings, called points, in the order of their assets' keys.

    Returns:
        The embedded assets in key order; of each point a row of ``snapshot.embeddings``; and the
        point of each of those assets.
    """
    keys = snapshot.keys[snapshot.embedded].view(f"S{snapshot.keys.shape[1]}").ravel()
    by_key = np.argsort(keys)
    points: dict[bytes, int] = {}
    rows: list[int] = []
    point_of = np.empty(by_key.size, np.intp)
    for at, row in enumerate(by_key):
        # Digests, for a sorted copy of the embeddings would double what a snapshot takes.
        embedding = snapshot.embeddings[row].tobytes()
        digest = hashlib.blake2b(embedding, digest_size=DIGEST_BYTES).digest()
        point_of[at] = points.setdefault(digest, len(points))
        if len(points) > len(rows):
            rows.append(row)
    return snapshot.embedded[by_key], np.array(rows, np.intp), point_of


def _reduced(snapshot: Snapshot, points: Indices) -> Floats:
    """Return the points' principal components, as the first `FIT_MAX` of them have it."""
    from sklearn.decomposition import PCA  # Takes a second, which no other command should wait for.

    sample = snapshot.embeddings[points[:FIT_MAX]].astype(np.float32)
    dimensions = min(DIMENSIONS, len(sample) - 1, sample.shape[1])
    pca = PCA(dimensions, random_state=0).fit(sample)
    reduced = np.empty((points.size, dimensions), np.float32)
    for start in range(0, points.size, BLOCK_ROWS):
        block = points[start : start + BLOCK_ROWS]
        reduced[start : start + BLOCK_ROWS] = pca.transform(
            snapshot.embeddings[block].astype(np.float32)
        )
    return reduced


def _density_labels(fitted: Floats, smallest: int) -> Indices:
    """Return the cluster of each, counted from 0, or `NOISE`."""
    from sklearn.cluster import HDBSCAN

    model = HDBSCAN(min_cluster_size=smallest, min_samples=NEIGHBOURS, copy=True)
    return np.asarray(model.fit_predict(fitted), np.intp)


def _settle(reduced: Floats, fitted_labels: Indices) -> tuple[Indices, Distances]:
    """Return every point's cluster and its distance from the cluster's centre.

    Strays leave the fitted clusters; the points that were not fitted join one, or none.
    The distance of noise is 0 and means nothing.
    """
    from sklearn.metrics import pairwise_distances_argmin_min

    labels = np.full(len(reduced), NOISE, np.intp)
    labels[: fitted_labels.size] = fitted_labels
    distances = np.zeros(len(reduced))
    count = int(fitted_labels.max(initial=NOISE)) + 1
    centres = np.empty((count, reduced.shape[1]), np.float32)
    radii = np.empty(count)
    for label in range(count):
        inside, strays = _without_strays(reduced, np.flatnonzero(fitted_labels == label))
        labels[strays] = NOISE
        centres[label], distances[inside] = _centre(reduced, inside)
        radii[label] = np.quantile(distances[inside], RADIUS_QUANTILE)
    for start in range(fitted_labels.size, len(reduced) if count else 0, BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        nearest, distance = pairwise_distances_argmin_min(reduced[block], centres)
        joins = distance <= radii[nearest]
        labels[block] = np.where(joins, nearest, NOISE)
        distances[block] = np.where(joins, distance, 0)
    return labels, distances


def _centre(reduced: Floats, points: Indices) -> tuple[Floats, Distances]:
    centre = reduced[points].mean(axis=0)
    return centre, np.linalg.norm(reduced[points] - centre, axis=1)


def _without_strays(reduced: Floats, points: Indices) -> tuple[Indices, Indices]:
    """Part the points of a cluster from its strays.

    HDBSCAN counts what hung on to a cluster when it parted from the others as its member, however
    far away. More than half of a cluster always stays.
    """
    _, distances = _centre(reduced, points)
    stays = distances <= STRAY_FACTOR * np.median(distances)
    return points[stays], points[~stays]


def _promote_copies(labels: Indices, copies: Indices, smallest: int) -> None:
    """Make clusters of the points that are noise among the others, but many by themselves."""
    alone = np.flatnonzero((labels == NOISE) & (copies >= smallest))
    labels[alone] = labels.max(initial=NOISE) + 1 + np.arange(alone.size)


def _families(label_of: Indices, distance_of: Distances) -> list[Indices]:
    """Return the positions in each cluster, nearest its centre first, then in key order."""
    order = np.lexsort((distance_of, label_of))
    order = order[np.searchsorted(label_of[order], 0) :]
    if order.size == 0:
        return []
    return np.split(order, np.flatnonzero(np.diff(label_of[order])) + 1)


def _described(
    snapshot: Snapshot, assets: Indices, family: Indices, point_of: Indices
) -> dict[str, Any]:
    _, first = np.unique(point_of[family], return_index=True)
    representatives = family[np.sort(first)[:REPRESENTATIVES]]
    return {
        "size": int(family.size),
        "representatives": [snapshot.key(assets[at]) for at in representatives],
        "members": [snapshot.key(assets[at]) for at in family[:MEMBERS_MAX]],
    }
