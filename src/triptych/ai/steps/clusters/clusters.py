"""The step `clusters`: families of pictures that look alike, found by density.

The embeddings, in the brand's reduced space (`triptych.ai.points`), form a graph of their
nearest neighbours, and HDBSCAN (Campello, Moulavi and Sander, "Density-Based Clustering Based on
Hierarchical Density Estimates", 2013) runs on that graph, without a matrix of all pairs. No
picture is forced into a cluster: those that belong to none are noise.

Its hierarchy is cut where clusters persist longest, which keeps families whole. Where pictures
blend into each other, that cut finds one cluster of a third of them (549 of 1,655 brands' icons).
So clusters whose members are not alike, by the cosine with their centre, are cut at the leaves of
the hierarchy instead.
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
from triptych.ai.steps.clusters.cluster_labels import Label, label_all
from triptych.ai.steps.clusters.cluster_names import name_clusters

SMALLEST_MIN = 3
SMALLEST_MAX = 50
"""Limits of the least size of a cluster, which grows with the snapshot: an eighth of the square
root of its number of points."""
NEIGHBOURS = 10
DENSITY_NEIGHBOURS = 3
"""HDBSCAN's ``min_samples``: a larger value makes more noise."""
COHESION_MIN = 0.7
"""Least mean cosine of a cluster's points with its centre, in the reduced space, to be one family.
Measured: at 0.7 purity and its lead over k-means were the largest, on icons and stamps."""
STRAY_FACTOR = 3.0
"""Members farther than this many times the median distance from the centre become noise."""
REPRESENTATIVES = 6
MEMBERS_MAX = 1_000
"""The most members of a cluster in a result, nearest first; all are counted and marked."""
CLUSTERS_MAX = 5_000
"""The most clusters in a result, largest first; all are counted and marked."""
NOISE = -1
GRAPH_SHARE = 0.8
"""Approximate share of the step's time that the neighbour search takes."""

Distances = npt.NDArray[np.float64]


def find_clusters(snapshot: Snapshot) -> StepResult:
    """Return the snapshot's clusters, and mark the assets with them.

    Assets with the same embedding stay together and count once in the density, so copies alone
    form no cluster, unless there are at least as many as the smallest cluster needs. The order of
    the assets does not matter. Assets without an embedding are ignored. A cluster that shares most
    of its assets with one of the previous snapshot keeps its name (`cluster_names.name_clusters`).

    The result::

        clusters    largest first: {id, label, label_from, size, representatives: [key, …],
                    members: [key, …]}; both nearest the centre first, representatives of different
                    embeddings; label and label_from (names, metadata, text or
                    tag) are null where no label fits, see `cluster_labels.label_all`
        cluster_count
        clustered   assets in clusters
        noise       embedded assets in none
        smallest    least number of distinct embeddings for a cluster to be found
        kept        clusters that kept their name from the previous snapshot
        truncated   true when clusters or members were left out because there are too many

    Marks: `cluster`, the id.
    """
    points = find_points(snapshot)
    smallest = _smallest(len(points))
    labels, distances = np.full(len(points), NOISE), np.zeros(len(points))
    # With fewer points a split into two clusters is impossible.
    if len(points) >= 2 * smallest:
        small = reduced(snapshot, points, find_components(snapshot, points))
        progress = snapshot.context.progress
        nearest = Neighbourhood(small).among(NEIGHBOURS, lambda s: progress(GRAPH_SHARE * s))
        labels = _density_labels(small, nearest, smallest)
        labels, distances = _settle(small, labels)
    _promote_copies(labels, points.copies, smallest)
    families = _families(snapshot, points, labels[points.point_of], distances[points.point_of])
    names, kept = name_clusters(snapshot, families)
    shown = label_all(snapshot, families[:CLUSTERS_MAX])
    marks: list[str | None] = [None] * len(snapshot)
    for name, family in zip(names, families, strict=True):
        for asset in family.tolist():
            marks[asset] = name
    clustered = sum(int(family.size) for family in families)
    point_of = points.of_assets(len(snapshot))
    described = [
        {"id": name, **_labelled(label), **_described(snapshot, family, point_of)}
        for name, label, family in zip(names, shown, families, strict=False)
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


CLUSTERS = Step("clusters", 4, find_clusters)


def _smallest(points: int) -> int:
    """Return the least number of points of a cluster."""
    return min(max(round(math.sqrt(points) / 8), SMALLEST_MIN), SMALLEST_MAX)


def _density_labels(small: Floats, nearest: Nearest, smallest: int) -> Indices:
    """Return the cluster of each point, counted from 0, or `NOISE`."""
    from sklearn.cluster import HDBSCAN  # Slow import: one second.

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

    # Excess of mass keeps families whole; the leaves replace those that are not cohesive.
    whole, leaves = cut("eom"), cut("leaf")
    labels = np.full(len(small), NOISE, np.intp)
    count = 0
    for members in _members(whole):
        # The length of the mean of unit vectors is their mean cosine with its direction.
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
    # Absent entries of a sparse matrix mean far away, so stored distances must not be 0.
    distances = np.sqrt(np.maximum(2 - 2 * nearest.cosines.astype(np.float64), 0)).ravel()
    near = csr_matrix((np.maximum(distances[there], 1e-6), (rows, columns)), shape=(count, count))
    # Neighbourhood is not mutual, but HDBSCAN needs a symmetric graph.
    near = near.maximum(near.T)
    parts, part_of = connected_components(near, directed=False)
    if parts == 1:
        return near
    # HDBSCAN needs a connected graph: link components by edges longer than any distance.
    _, firsts = np.unique(part_of, return_index=True)
    ties = csr_matrix((np.full(parts - 1, 4.0), (firsts[:-1], firsts[1:])), shape=near.shape)
    return (near + ties + ties.T).tocsr()


def _settle(small: Floats, found: Indices) -> tuple[Indices, Distances]:
    """Return every point's cluster without outliers, and its distance from the cluster's centre.

    HDBSCAN counts every point attached to a cluster when the cluster splits off as its member,
    however far away. More than half of a cluster always stays. The distance of noise is undefined.
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
    """Turn noise points with enough copies of their own into clusters."""
    alone = np.flatnonzero((labels == NOISE) & (copies >= smallest))
    labels[alone] = labels.max(initial=NOISE) + 1 + np.arange(alone.size)


def _families(
    snapshot: Snapshot, points: Points, label_of: Indices, distance_of: Distances
) -> list[Indices]:
    """Return the assets of each cluster, nearest its centre first; largest cluster first."""
    order = np.lexsort((distance_of, label_of))
    order = order[np.searchsorted(label_of[order], 0) :]
    families = [points.assets[family] for family in _split(order, label_of[order])]
    return sorted(families, key=lambda family: (-family.size, snapshot.key(family[0])))


def _members(labels: Indices) -> list[Indices]:
    """Return the members of each cluster, ascending, without noise."""
    order = np.argsort(labels, kind="stable")
    order = order[np.searchsorted(labels[order], 0) :]
    return _split(order, labels[order])


def _split(order: Indices, labels: Indices) -> list[Indices]:
    """Split ``order`` where its ascending ``labels`` change."""
    return np.split(order, np.flatnonzero(np.diff(labels)) + 1) if order.size else []


def _labelled(label: Label | None) -> dict[str, str | None]:
    if label is None:
        return {"label": None, "label_from": None}
    return {"label": label.text, "label_from": label.origin}


def _described(snapshot: Snapshot, family: Indices, point_of: Indices) -> dict[str, Any]:
    _, first = np.unique(point_of[family], return_index=True)
    representatives = family[np.sort(first)[:REPRESENTATIVES]]
    return {
        "size": int(family.size),
        "representatives": [snapshot.key(asset) for asset in representatives],
        "members": [snapshot.key(asset) for asset in family[:MEMBERS_MAX]],
    }
