"""The step `duplicates`: assets that are the same picture, byte for byte or nearly so.

Near duplicates must agree twice: their perceptual hashes differ in at most `HAMMING_MAX_BITS`
bits, and their embeddings have a cosine of at least `COSINE_MIN`. Each alone errs where the other
does not: embeddings call many flat icons alike, hashes many plain shapes.

Measured with EfficientNet-Lite0: of eight usual edits (halved, quartered, JPEG quality 30, WebP 50,
brighter, darker, more contrast, cropped by 5 %) 95 % were found on 69 wallpapers, and of five of
them 96 % on 1,198 brand icons. One of 2,346 pairs of different wallpapers was taken for the same,
and of 717,003 pairs of icons 27 that do not look identical, nearly all one mark in two colours.
Crops of 20 %, frames, grey copies and large overlays are mostly not found.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.insights.step import Snapshot, Step

HAMMING_MAX_BITS = 10
"""Of 64: how far apart the perceptual hashes of near duplicates may be."""
COSINE_MIN = 0.88
"""How near the embeddings of near duplicates must be."""
STRUCTURE_MIN_BITS = 24
STRUCTURE_MAX_BITS = 40
"""A perceptual hash sets half of its 64 bits, unless there is nothing to hash: all blank pictures
share a hash, as all plain gradients do, and it proves nothing. They are compared by bytes only."""
BLOCK_ROWS = 1_024
"""Contents compared with as many others at a time, in about 25 MB at most."""
GROUPS_MAX = 10_000
"""Groups named in a result, largest first; all are counted."""
MEMBERS_MAX = 1_000
"""Members named of a group, best first; all are counted."""

NOBODY = -1

Indices = npt.NDArray[np.intp]


def find_duplicates(snapshot: Snapshot) -> dict[str, Any]:
    """Return the groups of assets that are the same picture.

    Groups are disjoint. Assets of the same bytes are always in one group. Every content of a group
    is a near duplicate of the group's best copy, not only of some other member, so groups do not
    chain. The best copy has the most pixels, then the most bytes, then the lowest key. The order
    of the assets changes nothing.

    The result::

        groups            largest first: {kind: "exact" | "near", best: key, members: [key, …],
                          size, contents}; members best first; contents: how many different bytes
        group_count, exact_groups, near_groups
        redundant         assets that are not the best copy of their group
        exact_redundant   assets whose bytes a better one has
        compared          contents that could be compared for near duplicates
        truncated         true when groups or members were left out for their number
    """
    order = _best_first(snapshot)
    content_of, best_of = _contents(snapshot, order)
    comparable, vector_of = _comparable(snapshot, order, content_of, best_of)
    head_of = np.arange(best_of.size)
    head_of[comparable] = comparable[_Election(snapshot, best_of[comparable], vector_of).run()]
    groups = sorted(
        _groups(head_of[content_of]),
        key=lambda group: (-group.size, snapshot.key(order[group[0]])),
    )
    contents = [int(np.unique(content_of[group]).size) for group in groups]
    near = sum(count > 1 for count in contents)
    return {
        "groups": [
            _described(snapshot, order[group], count)
            for group, count in zip(groups[:GROUPS_MAX], contents[:GROUPS_MAX], strict=True)
        ],
        "group_count": len(groups),
        "exact_groups": len(groups) - near,
        "near_groups": near,
        "redundant": sum(int(group.size) - 1 for group in groups),
        "exact_redundant": len(snapshot) - int(best_of.size),
        "compared": int(comparable.size),
        "truncated": len(groups) > GROUPS_MAX or any(g.size > MEMBERS_MAX for g in groups),
    }


DUPLICATES = Step("duplicates", 1, find_duplicates)


def _best_first(snapshot: Snapshot) -> Indices:
    """Return the assets from the best copy to the worst, whatever order they came in."""
    pixels = snapshot.widths * snapshot.heights
    keys = np.ascontiguousarray(snapshot.keys).view(f"S{snapshot.keys.shape[1]}").ravel()
    return np.lexsort((keys, -snapshot.size_bytes, -pixels))


def _contents(snapshot: Snapshot, order: Indices) -> tuple[Indices, Indices]:
    """Tell contents apart by their bytes and number them by their best asset.

    Returns:
        The content of each asset of ``order``, and the best asset of each content.
    """
    hashes = snapshot.sha256[order].view(f"S{snapshot.sha256.shape[1]}").ravel()
    _, first, inverse = np.unique(hashes, return_index=True, return_inverse=True)
    by_best = np.argsort(first)
    number = np.empty_like(by_best)
    number[by_best] = np.arange(by_best.size)
    return number[inverse], order[first[by_best]]


def _comparable(
    snapshot: Snapshot, order: Indices, content_of: Indices, best_of: Indices
) -> tuple[Indices, Indices]:
    """Return the contents with structure and an embedding, ascending, and the row of the latter."""
    row_of_asset = np.full(len(snapshot), NOBODY, np.intp)
    row_of_asset[snapshot.embedded] = np.arange(snapshot.embedded.size)
    # Copies of one content can differ in this: one may still have another model's embedding.
    row = np.full(best_of.size, NOBODY, np.intp)
    np.maximum.at(row, content_of, row_of_asset[order])
    bits = np.bitwise_count(snapshot.phash[best_of].view(np.uint64))
    structured = (bits >= STRUCTURE_MIN_BITS) & (bits <= STRUCTURE_MAX_BITS)
    comparable = np.flatnonzero(structured & (row != NOBODY))
    return comparable, row[comparable]


class _Election:
    """Gives each content its group's head: the best copy that it is a near duplicate of.

    Taken from the best content to the worst: one that matches no head before it is a head itself;
    the others join the head they are most similar to. Contents are compared block by block, hashes
    first, so that only the few that agree there cost a product of embeddings.
    """

    def __init__(self, snapshot: Snapshot, best_of: Indices, vector_of: Indices) -> None:
        self._hashes = snapshot.phash[best_of].view(np.uint64)
        self._embeddings = snapshot.embeddings
        self._vector_of = vector_of
        self._head_of = np.full(best_of.size, NOBODY, np.intp)
        self._cosine = np.zeros(best_of.size, np.float32)

    def run(self) -> Indices:
        """Return the head of each content; a head's is itself."""
        count = self._head_of.size
        blocks = [
            np.arange(start, min(start + BLOCK_ROWS, count))
            for start in range(0, count, BLOCK_ROWS)
        ]
        for number, block in enumerate(blocks):
            self._elect(block)
            heads = block[self._head_of[block] == block]
            for later in blocks[number + 1 :]:
                self._join(heads, later)
        return self._head_of

    def _elect(self, block: Indices) -> None:
        """Find the heads within a block whose better contents have all had their turn."""
        rows, columns, cosines = self._matches(block, block)
        for row, line in zip(rows, cosines, strict=True):
            if self._head_of[row] == NOBODY:
                later = columns > row
                self._accept(np.full(columns.size, row)[later], columns[later], line[later])
        alone = block[self._head_of[block] == NOBODY]
        self._head_of[alone] = alone

    def _join(self, heads: Indices, block: Indices) -> None:
        """Let the contents of a later block join the heads that they match."""
        rows, columns, cosines = self._matches(heads, block)
        if rows.size:
            nearest = cosines.argmax(axis=0)  # Of equals the first: the better head.
            self._accept(rows[nearest], columns, cosines[nearest, np.arange(columns.size)])

    def _accept(self, heads: Indices, contents: Indices, cosines: npt.NDArray[np.float32]) -> None:
        nearer = cosines > self._cosine[contents]
        self._head_of[contents[nearer]] = heads[nearer]
        self._cosine[contents[nearer]] = cosines[nearer]

    def _matches(
        self, these: Indices, those: Indices
    ) -> tuple[Indices, Indices, npt.NDArray[np.float32]]:
        """Return those of each side whose hashes come close, and their cosines; 0: no match."""
        apart = np.bitwise_count(self._hashes[these][:, None] ^ self._hashes[those][None, :])
        close = (apart <= HAMMING_MAX_BITS) & (these[:, None] != those[None, :])
        rows, columns = np.flatnonzero(close.any(axis=1)), np.flatnonzero(close.any(axis=0))
        cosines = self._vectors(these[rows]) @ self._vectors(those[columns]).T
        cosines[~close[np.ix_(rows, columns)] | (cosines < COSINE_MIN)] = 0
        return these[rows], those[columns], cosines

    def _vectors(self, contents: Indices) -> npt.NDArray[np.float32]:
        return self._embeddings[self._vector_of[contents]].astype(np.float32)


def _groups(head_of: Indices) -> Iterator[Indices]:
    """Yield the positions of each group of two or more, ascending: the best copy comes first."""
    by_head = np.argsort(head_of, kind="stable")
    bounds = np.flatnonzero(np.diff(head_of[by_head])) + 1
    for group in np.split(by_head, bounds):
        if group.size > 1:
            yield group


def _described(snapshot: Snapshot, members: Indices, contents: int) -> dict[str, Any]:
    keys = [snapshot.key(asset) for asset in members[:MEMBERS_MAX]]
    return {
        "kind": "near" if contents > 1 else "exact",
        "best": keys[0],
        "members": keys,
        "size": int(members.size),
        "contents": contents,
    }
