"""The nearest of many, exactly, in bounded memory: all are compared, block by block.

scikit-learn's brute force takes 1.6 times as long for the same answer: docs/adr says more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.ai.points import Floats, Indices, blocks

BLOCK_ROWS = 1_024
BLOCK_COLUMNS = 8_192
"""Compared at a time: 34 MB of closeness, and as much again where ties are counted."""
CROWD = 8
"""So many times the neighbours that are wanted are sorted as a list; among more the nearest are
looked for in the whole row, which takes longer and less memory."""
NOBODY = -1

Closeness = Callable[[slice, slice], Floats]
"""How close some rows are to some columns: (rows, columns), an array that may be written to."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """The nearest neighbours of some vectors, the nearest first."""

    indices: npt.NDArray[np.int32]
    """(n, k); `NOBODY` where there are no more."""
    cosines: Floats
    """(n, k); -1 where there are no more."""

    @classmethod
    def nothing(cls, count: int, k: int) -> Nearest:
        """Return what is known before anything is compared."""
        return cls(np.full((count, k), NOBODY, np.int32), np.full((count, k), -1, np.float32))


def find_nearest(
    closeness: Closeness,
    rows: int,
    columns: int,
    k: int,
    *,
    least: float = float(np.finfo(np.float32).min),
    own: Indices | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Nearest:
    """Return for each row the ``k`` nearest columns; of those equally near the first.

    Which are kept does not depend on the blocks.

    Args:
        closeness: of a block: cosines, or anything else that is larger for what is nearer.
        rows: how many ask.
        columns: how many are asked about.
        k: neighbours of each row, at most.
        least: how close they have to be.
        own: (rows,): the column that is the row itself, which is no neighbour; -1 for none.
        progress: is called with how far this is, 0..1.
    """
    found = Nearest.nothing(rows, k)
    for these in blocks(rows, BLOCK_ROWS):
        best = _Best(these.stop - these.start, k, least)
        for those in blocks(columns, BLOCK_COLUMNS):
            block = closeness(these, those)
            if own is not None:
                at = own[these] - those.start
                here = np.flatnonzero((at >= 0) & (at < block.shape[1]))
                block[here, at[here]] = -np.inf
            best.take(block, those.start)
        best.write(found, these)
        progress(these.stop / rows)
    return found


class _Best:
    """The best that are known of a block of rows, as a list: most of what is compared is far."""

    def __init__(self, rows: int, k: int, least: float) -> None:
        self._k = k
        self._bound = np.full((rows, 1), least, np.float32)
        """What is less close cannot be among the best."""
        self._row = self._column = self._rank = np.zeros(0, np.intp)
        self._close = np.zeros(0, np.float32)

    def take(self, block: Floats, start: int) -> None:
        """Merge the columns from ``start`` on."""
        near = block >= self._bound
        crowded = np.flatnonzero(np.count_nonzero(near, axis=1) > CROWD * self._k)
        if crowded.size:
            near[crowded] = _closest(block[crowded], self._k)
        rows, columns = np.divmod(np.flatnonzero(near), block.shape[1])
        row = np.concatenate([self._row, rows])
        column = np.concatenate([self._column, columns + start])
        close = np.concatenate([self._close, block[rows, columns]])
        order = np.lexsort((column, -close, row))
        row, column, close = row[order], column[order], close[order]
        rank = np.arange(row.size) - np.searchsorted(row, row)
        kept = rank < self._k
        self._row, self._column, self._rank = row[kept], column[kept], rank[kept]
        self._close = close[kept]
        last = self._rank == self._k - 1
        self._bound[self._row[last], 0] = self._close[last]

    def write(self, found: Nearest, these: slice) -> None:
        found.indices[these.start + self._row, self._rank] = self._column
        found.cosines[these.start + self._row, self._rank] = self._close


def _closest(block: Floats, k: int) -> npt.NDArray[np.bool_]:
    """Return which ``k`` of each row are the closest; of equals the first."""
    last = np.partition(block, -k, axis=1)[:, -k, None]
    closer, equal = block > last, block == last
    left = k - np.count_nonzero(closer, axis=1)
    tied = np.flatnonzero(np.count_nonzero(equal, axis=1) > left)
    if tied.size:
        order = np.cumsum(equal[tied], axis=1, dtype=np.int32)
        equal[tied] &= order <= left[tied, None]
    either: npt.NDArray[np.bool_] = closer | equal
    return either
