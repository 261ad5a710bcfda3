"""The step `clusters`: families of pictures that look alike, found by density.

The embeddings, in the brand's own small space (`triptych.ai.points`), are tied to their
nearest neighbours, and HDBSCAN (Campello, Moulavi and Sander, "Density-Based Clustering Based on
Hierarchical Density Estimates", 2013) is run on that graph: no matrix of all pairs. Nothing is
forced into a cluster: what belongs to none is noise.

Its hierarchy is cut where clusters last longest, which keeps families whole. Where pictures pass
into each other that cut finds one cluster of a third of them (549 of 1,655 brands' icons); so what
does not look alike, by the cosine with its centre, is cut at the hierarchy's leaves instead.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.context import StepResult
from triptych.ai.nearest import Nearest
from triptych.ai.neighbours import Neighbourhood
from triptych.ai.points import Floats, Indices, Points, find_components, find_points, reduced
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.clusters.cluster_names import label_all, named

SMALLEST_MIN = 3
SMALLEST_MAX = 50
"""The size from which a group is a cluster grows with the snapshot, between these two: an eighth
of the square root of its points."""
NEIGHBOURS = 10
DENSITY_NEIGHBOURS = 3
"""HDBSCAN's ``min_samples``: more of them make more noise."""
COHESION_MIN = 0.7
"""Mean cosine of a cluster's points with its centre, in the small space, from which it is one
family. Measured: at 0.7 purity and its lead over k-means were the largest, on icons and stamps."""
STRAY_FACTOR = 3.0
"""Members this many times as far from the centre as the median member are noise after all."""
REPRESENTATIVES = 6
MEMBERS_MAX = 1_000
"""Members named of a cluster, nearest its centre first; all are counted, and marked."""
CLUSTERS_MAX = 5_000
"""Clusters described in a result, largest first; all are counted, and marked."""
NOISE = -1
GRAPH_SHARE = 0.8
"""Of the step's time, about, that the neighbours take."""

Distances = npt.NDArray[np.float64]


def find_clusters(snapshot: Snapshot) -> StepResult:
    """Return the snapshot's clusters, and mark the assets with them.

    Assets of one embedding stay together and count once when density is measured, so copies alone
    make no cluster, unless they are as many as the smallest may be. The order of the assets
    changes nothing. Assets without an embedding take no part. A cluster that shares most of its
    assets with one of the snapshot before keeps its name (`cluster_identity`).

    The result::

        clusters    largest first: {id, label, size, representatives: [key, …], members: [key, …]};
                    both nearest the centre first, representatives of different embeddings; the
                    label is made of tags, words of file names or colours, whatever there is
        cluster_count
        clustered   assets in clusters
        noise       embedded assets in none
        smallest    different embeddings that a cluster had at least when it was found
        kept        clusters that have their name from the snapshot before
        truncated   true when clusters or members were left out for their number

    Marks: `cluster`, the id.
    """
    points = find_points(snapshot)
    smallest = _smallest(len(points))
    labels, distances = np.full(len(points), NOISE), np.zeros(len(points))
    if len(points) >= 2 * smallest:
        small = reduced(snapshot, points, find_components(snapshot, points))
        progress = snapshot.context.progress
        nearest = Neighbourhood(small).among(NEIGHBOURS, lambda s: progress(GRAPH_SHARE * s))
        labels = _density_labels(small, nearest, smallest)
        labels, distances = _settle(small, labels)
    _promote_copies(labels, points.copies, smallest)
    families = _families(snapshot, points, labels[points.point_of], distances[points.point_of])
    names, kept = named(snapshot, families)
    texts = label_all(snapshot, families[:CLUSTERS_MAX])
    marks: list[str | None] = [None] * len(snapshot)
    for name, family in zip(names, families, strict=True):
        for asset in family.tolist():
            marks[asset] = name
    clustered = sum(int(family.size) for family in families)
    point_of = points.of_assets(len(snapshot))
    described = [
        {"id": name, "label": text, **_described(snapshot, family, point_of)}
        for name, text, family in zip(names, texts, families, strict=False)
    ]
    result = {
        "clusters": described,
        "cluster_count": len(families),
        "clustered": clustered,
        "noise": int(points.assets.size - clustered),
        "smallest": smallest,
        "kept": kept,
        "truncated": len(families) > CLUSTERS_MAX or any(f.size > MEMBERS_MAX for f in families),
    }
    return StepResult(result, {"cluster": marks})


CLUSTERS = Step("clusters", 2, find_clusters)


def _smallest(points: int) -> int:
    """Return how many make a cluster."""
    return min(max(round(math.sqrt(points) / 8), SMALLEST_MIN), SMALLEST_MAX)


def _density_labels(small: Floats, nearest: Nearest, smallest: int) -> Indices:
    """Return the cluster of each point, counted from 0, or `NOISE`."""
    from sklearn.cluster import HDBSCAN  # Takes a second, which no other command should wait for.

    graph = _graph(nearest)

    def cut(where: str) -> Indices:
        model = HDBSCAN(
            min_cluster_size=smallest,
            min_samples=min(DENSITY_NEIGHBOURS, len(small) - 1),
            metric="precomputed",
            cluster_selection_method=where,
            copy=True,
        )
        return np.asarray(model.fit_predict(graph), np.intp)

    whole, leaves = cut("eom"), cut("leaf")
    labels = np.full(len(small), NOISE, np.intp)
    count = 0
    for members in _members(whole):
        # Of unit vectors, the length of the mean is the mean cosine with its direction.
        if np.linalg.norm(small[members].mean(axis=0)) >= COHESION_MIN:
            labels[members] = count
            count += 1
            continue
        for part in _members(leaves[members]):
            labels[members[part]] = count
            count += 1
    return labels


def _graph(nearest: Nearest) -> Any:
    """Return the points' distances to their neighbours as one connected sparse matrix."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.csgraph import connected_components

    count, k = nearest.indices.shape
    there = nearest.indices.ravel() >= 0
    rows, columns = np.repeat(np.arange(count), k)[there], nearest.indices.ravel()[there]
    # What is not in a sparse matrix is far away, so nothing in it may be exactly 0.
    distances = np.sqrt(np.maximum(2 - 2 * nearest.cosines.astype(np.float64), 0)).ravel()
    near = csr_matrix((np.maximum(distances[there], 1e-6), (rows, columns)), shape=(count, count))
    near = near.maximum(near.T)
    parts, part_of = connected_components(near, directed=False)
    if parts == 1:
        return near
    # HDBSCAN wants one piece: the pieces are tied together by ties longer than any distance.
    _, firsts = np.unique(part_of, return_index=True)
    ties = csr_matrix((np.full(parts - 1, 4.0), (firsts[:-1], firsts[1:])), shape=near.shape)
    return (near + ties + ties.T).tocsr()


def _settle(small: Floats, found: Indices) -> tuple[Indices, Distances]:
    """Return every point's cluster without strays, and its distance from the cluster's centre.

    HDBSCAN counts what hung on to a cluster when it parted from the others as its member, however
    far away. More than half of a cluster always stays. The distance of noise means nothing.
    """
    labels = np.full(found.size, NOISE, np.intp)
    distances = np.zeros(found.size)
    for label, members in enumerate(_members(found)):
        around = np.linalg.norm(small[members] - small[members].mean(axis=0), axis=1)
        stays = members[around <= STRAY_FACTOR * np.median(around)]
        labels[stays] = label
        distances[stays] = np.linalg.norm(small[stays] - small[stays].mean(axis=0), axis=1)
    return labels, distances


def _promote_copies(labels: Indices, copies: Indices, smallest: int) -> None:
    """Make clusters of the points that are noise among the others, but many by themselves."""
    alone = np.flatnonzero((labels == NOISE) & (copies >= smallest))
    labels[alone] = labels.max(initial=NOISE) + 1 + np.arange(alone.size)


def _families(
    snapshot: Snapshot, points: Points, label_of: Indices, distance_of: Distances
) -> list[Indices]:
    """Return the assets of each cluster, nearest its centre first; the largest cluster first."""
    order = np.lexsort((distance_of, label_of))
    order = order[np.searchsorted(label_of[order], 0) :]
    families = [points.assets[family] for family in _split(order, label_of[order])]
    return sorted(families, key=lambda family: (-family.size, snapshot.key(family[0])))


def _members(labels: Indices) -> list[Indices]:
    """Return the members of each cluster, ascending; noise is in none."""
    order = np.argsort(labels, kind="stable")
    order = order[np.searchsorted(labels[order], 0) :]
    return _split(order, labels[order])


def _split(order: Indices, labels: Indices) -> list[Indices]:
    """Part ``order`` where its ascending ``labels`` change."""
    return np.split(order, np.flatnonzero(np.diff(labels)) + 1) if order.size else []


def _described(snapshot: Snapshot, family: Indices, point_of: Indices) -> dict[str, Any]:
    _, first = np.unique(point_of[family], return_index=True)
    representatives = family[np.sort(first)[:REPRESENTATIVES]]
    return {
        "size": int(family.size),
        "representatives": [snapshot.key(asset) for asset in representatives],
        "members": [snapshot.key(asset) for asset in family[:MEMBERS_MAX]],
    }
