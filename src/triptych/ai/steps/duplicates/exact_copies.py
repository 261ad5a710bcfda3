"""The distinct contents of a snapshot, and the ranking of copies of one picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.ai.step import Snapshot
from triptych.ai.steps.duplicates.views import Views

STRUCTURE_MIN_BITS = 24
STRUCTURE_MAX_BITS = 40
"""A perceptual hash sets half of its 64 bits, unless the picture has no detail: all blank pictures
share a hash, as do all plain gradients, so it proves nothing."""
LARGE = 0.9
"""Copies with at least this share of the largest copy's pixels count as equally large."""
UNFRAMED = 0.97
NOBODY = -1

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The distinct contents by bytes, numbered from the largest."""

    order: Indices
    """The assets, largest first, independent of their input order."""
    of_asset: Indices
    """The content of each asset of ``order``."""
    first: Indices
    """The first asset of each content."""
    hashes: npt.NDArray[np.uint64]
    structured: npt.NDArray[np.bool_]
    """The contents whose hashes carry information."""
    vector: Indices
    """The row of each content's embedding, or -1."""


def contents_of(snapshot: Snapshot) -> Contents:
    """Find the distinct contents by their bytes."""
    pixels = snapshot.widths * snapshot.heights
    keys = np.ascontiguousarray(snapshot.keys).view(f"S{snapshot.keys.shape[1]}").ravel()
    order = np.lexsort((keys, -snapshot.size_bytes, -pixels))
    digests = snapshot.sha256[order].view(f"S{snapshot.sha256.shape[1]}").ravel()
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    # `np.unique` sorts by digest: renumber the contents from the largest.
    by_size = np.argsort(first)
    number = np.empty_like(by_size)
    number[by_size] = np.arange(by_size.size)
    of_asset, first = number[inverse], order[first[by_size]]

    row_of_asset = np.full(len(snapshot), NOBODY, np.intp)
    row_of_asset[snapshot.embedded] = np.arange(snapshot.embedded.size)
    # Copies of one content can differ here: one may still have another model's embedding.
    vector = np.full(first.size, NOBODY, np.intp)
    np.maximum.at(vector, of_asset, row_of_asset[order])
    hashes = snapshot.phash[first].view(np.uint64)
    bits = np.bitwise_count(hashes)
    structured = (bits >= STRUCTURE_MIN_BITS) & (bits <= STRUCTURE_MAX_BITS)
    return Contents(order, of_asset, first, hashes, structured, vector)


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """Assets that are one picture."""

    members: Indices
    """The best first."""
    why: str
    """The reason for the best copy."""


def ranked(snapshot: Snapshot, views: Views, members: Indices) -> Group:
    """Rank the copies of a picture, best first.

    The criteria, in this order: among the largest; without a frame, if there is such a copy; in
    colour, if there is such a copy; most bytes, which is the least compressed; lowest key. Frames
    and colour are known only for assets that were read; others count as unframed and in colour.
    """
    seen = [views.of(int(row)) for row in members]
    area = (snapshot.widths * snapshot.heights)[members].astype(float)
    content = area * np.array([1.0 if view is None else view.content for view in seen])
    large = content >= LARGE * content.max()
    framed = np.array([view is not None and view.content < UNFRAMED for view in seen])
    grey = np.array([view is not None and not view.coloured for view in seen])
    sizes = snapshot.size_bytes[members]
    keys = np.array([snapshot.key(int(row)) for row in members])
    # All large copies tie on size, so the other criteria decide among them.
    by_size = np.where(large, -np.inf, -content)
    best_first = np.lexsort((keys, -sizes, grey, framed, by_size))
    best = best_first[0]

    shape = f"{snapshot.widths[members[best]]} × {snapshot.heights[members[best]]} pixels"
    rivals = large & (framed == framed[best]) & (grey == grey[best])
    reasons = ["the largest" if large.sum() == 1 else "as large as any"]
    if framed[large].any() and not framed[best]:
        reasons.append("without a frame")
    if grey[large].any() and not grey[best]:
        reasons.append("in colour")
    if (sizes[rivals] < sizes[best]).any():
        reasons.append(f"the least compressed ({sizes[best]:,} bytes)")
    return Group(members[best_first], f"{', '.join(reasons)}: {shape}")
