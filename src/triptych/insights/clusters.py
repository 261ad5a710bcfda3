"""The step ``clusters``: what belongs together in a brand's imagery.

HDBSCAN (Campello et al., 2013) over the principal components of the embeddings: the number of
clusters is found, not given, and what belongs nowhere stays noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.insights.step import Snapshot, Step

COMPONENTS = 32
"""Dimensions kept: distances in more of them say little, and cost the most."""
FIT_MAX = 10_000
"""Assets that are clustered; the others join the cluster whose heart they are in."""
ASSETS_MIN = 6
"""Fewer are no imagery to find structure in."""
CLUSTER_MIN = 3
CLUSTER_SHARE = 0.01
"""A cluster has at least this share of the assets, and at least `CLUSTER_MIN` of them."""
CLUSTER_MIN_MAX = 50
REPRESENTATIVES = 6
MEMBERS_MAX = 1000
RADIUS_QUANTILE = 0.95
BLOCK_ROWS = 4096
NOISE = -1

Matrix = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def find_clusters(snapshot: Snapshot) -> Mapping[str, Any]:
    """Return clusters, largest first, each with its representatives and members."""
    rows = np.flatnonzero(snapshot.embedded)
    sampled = snapshot.total > len(snapshot)
    if len(rows) < ASSETS_MIN:
        return {"clusters": [], "cluster_count": 0, "noise": len(rows), "sampled": sampled}
    points = _reduce(snapshot.embeddings[rows])
    labels = _label(points)
    clusters = [
        _cluster(snapshot, rows, points, np.flatnonzero(labels == label))
        for label in range(int(labels.max(initial=NOISE)) + 1)
    ]
    found = sorted(
        (cluster for cluster in clusters if cluster["size"]),
        key=lambda cluster: (-cluster["size"], cluster["representatives"][0]),
    )
    return {
        "clusters": found,
        "cluster_count": len(found),
        "noise": int((labels == NOISE).sum()),
        "sampled": sampled,
    }


def _fit_rows(count: int) -> Labels:
    """Return the rows to fit on: all, or evenly spaced ones; rows are in order of a hash."""
    return np.unique(np.linspace(0, count - 1, min(count, FIT_MAX)).astype(np.int64))


def _reduce(embeddings: npt.NDArray[np.float16]) -> Matrix:
    """Project on the principal components of the fitted rows, block by block."""
    from sklearn.decomposition import PCA

    fitted = embeddings[_fit_rows(len(embeddings))].astype(np.float32)
    components = min(COMPONENTS, *fitted.shape)
    # One solver, one seed: the same snapshot gives the same clusters.
    pca = PCA(components, svd_solver="randomized", random_state=0).fit(fitted)
    blocks = [
        pca.transform(embeddings[start : start + BLOCK_ROWS].astype(np.float32))
        for start in range(0, len(embeddings), BLOCK_ROWS)
    ]
    return np.concatenate(blocks).astype(np.float32)


def _label(points: Matrix) -> Labels:
    """Return each point's cluster, or `NOISE`."""
    from sklearn.cluster import HDBSCAN

    fitted = _fit_rows(len(points))
    smallest = int(np.clip(len(fitted) * CLUSTER_SHARE, CLUSTER_MIN, CLUSTER_MIN_MAX))
    model = HDBSCAN(min_cluster_size=smallest, min_samples=min(smallest, 5), copy=True)
    labels: Labels = np.full(len(points), NOISE, np.int64)
    labels[fitted] = model.fit_predict(points[fitted])
    if len(fitted) < len(points):
        _assign(points, labels, fitted)
    return labels


def _assign(points: Matrix, labels: Labels, fitted: Labels) -> None:
    """Let points that were not fitted join the nearest cluster, if they lie within its radius."""
    known = labels[fitted]
    names = np.unique(known[known != NOISE])
    if not len(names):
        return
    centres = np.stack([points[fitted][known == name].mean(axis=0) for name in names])
    radii = np.array(
        [
            np.quantile(
                np.linalg.norm(points[fitted][known == name] - centre, axis=1), RADIUS_QUANTILE
            )
            for name, centre in zip(names, centres, strict=True)
        ]
    )
    others = np.setdiff1d(np.arange(len(points)), fitted)
    for start in range(0, len(others), BLOCK_ROWS):
        block = others[start : start + BLOCK_ROWS]
        distances = np.linalg.norm(points[block][:, None, :] - centres[None], axis=2)
        nearest = distances.argmin(axis=1)
        inside = distances[np.arange(len(block)), nearest] <= radii[nearest]
        labels[block[inside]] = names[nearest[inside]]


def _cluster(snapshot: Snapshot, rows: Labels, points: Matrix, members: Labels) -> dict[str, Any]:
    if not len(members):
        return {"size": 0}
    own = points[members]
    distances = np.linalg.norm(own - own.mean(axis=0), axis=1)
    by_distance = members[np.lexsort((rows[members], distances))]
    keys = [snapshot.keys[row] for row in rows[by_distance[:MEMBERS_MAX]]]
    return {"size": len(members), "representatives": keys[:REPRESENTATIVES], "members": keys}


CLUSTERS = Step("clusters", find_clusters)
