"""The distinct embeddings of a snapshot, reduced to their principal components.

Steps that group, map or compare a brand's pictures work on these: copies count once, the order of
the assets does not matter, and a hundred thousand points take 51 MB, while their embeddings take
256 MB.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.ai.step import Snapshot

DIMENSIONS = 128
"""Principal components kept."""
FIT_MAX = 10_000
"""Points from which the components are computed: the first by key, an even sample."""
BLOCK_ROWS = 4_096
"""Embeddings reduced at a time: 21 MB of 1280-d in single precision."""
DIGEST_BYTES = 16

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """The distinct embeddings of a snapshot, in the order of their assets' keys."""

    assets: Indices
    """(m,): the embedded assets, in key order."""
    point_of: Indices
    """(m,): the point of each of ``assets``."""
    rows: Indices
    """(p,): for each point, one row of ``snapshot.embeddings``."""

    def __len__(self) -> int:
        """Return the number of points."""
        return self.rows.size

    @property
    def copies(self) -> Indices:
        """(p,): number of assets with each point's embedding."""
        return np.bincount(self.point_of, minlength=len(self))

    def of_assets(self, count: int) -> Indices:
        """Return the point of each of a snapshot's ``count`` assets, or -1."""
        found = np.full(count, -1, np.intp)
        found[self.assets] = self.point_of
        return found


def find_points(snapshot: Snapshot) -> Points:
    """Find the distinct embeddings of a snapshot."""
    keys = snapshot.keys[snapshot.embedded].view(f"S{snapshot.keys.shape[1]}").ravel()
    by_key = np.argsort(keys)
    points: dict[bytes, int] = {}
    rows: list[int] = []
    point_of = np.empty(by_key.size, np.intp)
    for at, row in enumerate(by_key):
        # Compare digests: a sorted copy of the embeddings would double the memory.
        embedding = snapshot.embeddings[row].tobytes()
        digest = hashlib.blake2b(embedding, digest_size=DIGEST_BYTES).digest()
        point_of[at] = points.setdefault(digest, len(points))
        if len(points) > len(rows):
            rows.append(row)
    return Points(snapshot.embedded[by_key], point_of, np.array(rows, np.intp))


@dataclass(frozen=True, slots=True, eq=False)
class Components:
    """The directions in which a brand's pictures differ most: its reduced space.

    The cosine of two points there ignores what all the brand's pictures have in common.
    """

    mean: Floats
    directions: Floats
    """(d, dimensions)."""

    def of(self, embeddings: npt.NDArray[np.float16]) -> Floats:
        """Return unit vectors of the reduced space; an embedding equal to the mean is all zeros."""
        reduced = (embeddings.astype(np.float32) - self.mean) @ self.directions
        lengths = np.linalg.norm(reduced, axis=1, keepdims=True)
        return np.asarray(reduced / np.where(lengths > 0, lengths, 1), np.float32)


def find_components(snapshot: Snapshot, points: Points) -> Components:
    """Return the principal components of the first `FIT_MAX` points; needs at least one point."""
    sample = snapshot.embeddings[points.rows[:FIT_MAX]].astype(np.float32)
    if len(sample) == 1:
        # Nothing differs: any direction will do, since the one point is all zeros in each.
        return Components(sample[0], np.eye(sample.shape[1], 1, dtype=np.float32))
    # Imported here: it takes a second, which other commands should not pay.
    from sklearn.decomposition import PCA

    few = len(sample) < sample.shape[1]
    model = PCA(min(DIMENSIONS, *sample.shape), svd_solver="full" if few else "covariance_eigh")
    with np.errstate(invalid="ignore"):  # Shares of zero variance.
        variances = model.fit(sample).explained_variance_
    kept = variances > variances[0] * 1e-6
    kept[0] = True  # Keep one direction even if no points differ.
    return Components(model.mean_, model.components_[kept].T)


def reduced(snapshot: Snapshot, points: Points, components: Components) -> Floats:
    """Return the points in their brand's reduced space, (p, dimensions)."""
    small = np.empty((len(points), components.directions.shape[1]), np.float32)
    for block in blocks(len(points), BLOCK_ROWS):
        small[block] = components.of(snapshot.embeddings[points.rows[block]])
    return small


def blocks(count: int, rows: int) -> Iterator[slice]:
    """Yield slices that cover ``count`` in pieces of at most ``rows``."""
    for start in range(0, count, rows):
        yield slice(start, min(start + rows, count))
