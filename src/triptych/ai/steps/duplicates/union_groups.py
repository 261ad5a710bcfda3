"""Groups from pairs: each content follows the largest that it is one picture with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import DisjointSet

ASKED_MAX = 200_000
"""Pairs of a head and a member of its family that are looked at; then known pairs decide."""

Indices = npt.NDArray[np.intp]
Same = Callable[[int, int], bool]


def elect(
    count: int, pairs: Sequence[tuple[int, int]], same: Same, progress: Callable[[float], None]
) -> Indices:
    """Return the head of each content; a head's, and a loner's, is itself.

    Contents are numbered from the largest, ``pairs`` come likeliest first. Pairs that are one
    picture join families; pairs within a family need not be looked at. A family may be a chain of
    different pictures, so heads are taken from it, the largest first: a head is followed by all
    that are one picture with it, and by those that are known to be one with any of these.
    """
    families = DisjointSet(range(count))
    known: dict[int, list[int]] = {}
    for done, (first, second) in enumerate(pairs, start=1):
        if not families.connected(first, second) and same(first, second):
            families.merge(first, second)
            known.setdefault(first, []).append(second)
            known.setdefault(second, []).append(first)
        progress(done / len(pairs))
    head_of = np.arange(count)
    members: dict[int, list[int]] = {}
    for content in sorted(known):
        members.setdefault(families[content], []).append(content)
    left = ASKED_MAX
    for family in members.values():
        left = _divide(family, known, same, head_of, left)
    return head_of


def _divide(
    family: list[int], known: dict[int, list[int]], same: Same, head_of: Indices, asked_max: int
) -> int:
    """Give the members of a family, the largest first, their heads; return what is left to ask."""
    while family:
        head, others = family[0], family[1:]
        asked, unasked = others[:asked_max], others[asked_max:]
        asked_max -= len(asked)
        direct = {one for one in asked if same(head, one)}
        direct |= set(known[head]).intersection(unasked)
        followers = {one for one in others if one in direct or direct.intersection(known[one])}
        head_of[list(followers)] = head
        family = [one for one in others if one not in followers]
    return asked_max
