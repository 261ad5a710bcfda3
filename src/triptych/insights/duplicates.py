"""The step ``duplicates``: assets that show the same, grouped, with the best copy named.

Exact duplicates share their bytes. Near ones are found by embedding and confirmed by perceptual
hash: either very close in both, or nearly identical in one and close in the other. Groups are
stars, not chains: every member is like the group's best copy, so that a family of icons, each
resembling the next, does not collapse into one group.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.insights.step import Snapshot, Step

COSINE_SAME = 0.97
HAMMING_SAME = 10
"""Both at least this close: near-duplicates."""
COSINE_CLOSE = 0.85
HAMMING_IDENTICAL = 2
"""Embedding close and hash nearly identical: a strong edit of colour or size."""
BLOCK_ROWS = 1024
"""Rows compared with all others at a time: bounds the memory to BLOCK_ROWS × n floats."""
NEIGHBOURS_MAX = 64
"""Near neighbours kept for one asset; larger groups are found through their other members."""
GROUPS_MAX = 1000
"""Groups listed, largest first; the counts are of all."""
MEMBERS_MAX = 200


def find_duplicates(snapshot: Snapshot) -> Mapping[str, Any]:
    """Return exact and near groups. Memory grows with n, never with n²."""
    exact = _exact(snapshot)
    representatives = sorted(rows[0] for rows in exact.values())
    near = _near(snapshot, representatives)
    copies = {rows[0]: rows for rows in exact.values()}
    groups = [
        _group(snapshot, [row for head in star for row in copies[head]], len(star) == 1)
        for star in near
        if len(star) > 1 or len(copies[star[0]]) > 1
    ]
    groups.sort(key=lambda group: (-group["size"], group["best"]))
    return {
        "groups": groups[:GROUPS_MAX],
        "group_count": len(groups),
        "redundant": sum(group["size"] - 1 for group in groups),
        "exact_redundant": len(snapshot) - len(exact),
        "distinct": len(snapshot) - sum(group["size"] - 1 for group in groups),
        "sampled": snapshot.total > len(snapshot),
    }


def _rank(snapshot: Snapshot, row: int) -> tuple[int, int, str]:
    """Order copies by quality: most pixels, most bytes, then by key so that ties are stable."""
    return (-int(snapshot.pixels[row]), -int(snapshot.size_bytes[row]), snapshot.keys[row])


def _exact(snapshot: Snapshot) -> dict[bytes, list[int]]:
    rows: dict[bytes, list[int]] = defaultdict(list)
    for row, digest in enumerate(snapshot.sha256):
        rows[digest].append(row)
    for members in rows.values():
        members.sort(key=lambda row: _rank(snapshot, row))
    return rows


def _near(snapshot: Snapshot, candidates: Sequence[int]) -> list[list[int]]:
    """Cut the candidates into stars: the best copy left takes every neighbour left."""
    neighbours: dict[int, list[int]] = defaultdict(list)
    usable = np.array([row for row in candidates if snapshot.embedded[row]], np.int64)
    for first, second in _pairs(snapshot, usable):
        neighbours[first].append(second)
        neighbours[second].append(first)
    stars: list[list[int]] = []
    taken: set[int] = set()
    for row in sorted(candidates, key=lambda row: _rank(snapshot, row)):
        if row in taken:
            continue
        star = [row, *sorted(set(neighbours[row]) - taken - {row})]
        taken.update(star)
        stars.append(star)
    return stars


def _pairs(snapshot: Snapshot, rows: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield near pairs, each once, a block of rows against all rows behind it."""
    hashes = snapshot.phash[rows].view(np.uint64)
    for start in range(0, len(rows), BLOCK_ROWS):
        block = snapshot.embeddings[rows[start : start + BLOCK_ROWS]].astype(np.float32)
        for other in range(start, len(rows), BLOCK_ROWS):
            others = snapshot.embeddings[rows[other : other + BLOCK_ROWS]].astype(np.float32)
            cosine = block @ others.T
            left, right = np.nonzero(cosine >= COSINE_CLOSE)
            ordered = left + start < right + other
            left, right = left[ordered], right[ordered]
            differing = hashes[start + left] ^ hashes[other + right]
            hamming = np.bitwise_count(differing)
            found = cosine[left, right]
            near = ((found >= COSINE_SAME) & (hamming <= HAMMING_SAME)) | (
                hamming <= HAMMING_IDENTICAL
            )
            kept = _strongest(left[near], found[near])
            for i, j in zip(left[near][kept], right[near][kept], strict=True):
                yield int(rows[start + i]), int(rows[other + j])


def _strongest(
    left: npt.NDArray[np.int64], cosine: npt.NDArray[np.float32]
) -> npt.NDArray[np.int64]:
    """Return which pairs to keep: for each left row its nearest `NEIGHBOURS_MAX`."""
    order = np.lexsort((-cosine, left))
    ordered = left[order]
    position = np.arange(len(ordered)) - np.searchsorted(ordered, ordered)
    return np.sort(order[position < NEIGHBOURS_MAX])


def _group(snapshot: Snapshot, rows: list[int], exact: bool) -> dict[str, Any]:
    ranked = sorted(rows, key=lambda row: _rank(snapshot, row))
    return {
        "kind": "exact" if exact else "near",
        "size": len(ranked),
        "best": snapshot.keys[ranked[0]],
        "members": [snapshot.keys[row] for row in ranked[:MEMBERS_MAX]],
    }


DUPLICATES = Step("duplicates", find_duplicates)
