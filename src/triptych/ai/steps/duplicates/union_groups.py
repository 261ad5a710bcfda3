"""Groups from pairs: each content joins the largest content that is the same picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import DisjointSet

ASKED_MAX = 200_000
"""The most pairs of head and family member that are compared; then known pairs decide."""

Indices = npt.NDArray[np.intp]
Same = Callable[[int, int], bool]


def choose_heads(
    count: int, pairs: Sequence[tuple[int, int]], same: Same, progress: Callable[[float], None]
) -> Indices:
    """Return the head of each content; a head, or a content without copies, is its own.

    Contents are numbered from the largest, and ``pairs`` come likeliest first. Pairs that are one
    picture join families; pairs within a family need no comparison. A family may be a chain of
    different pictures, so heads are taken from it, largest first: a head takes all that are one
    picture with it, and those known to be one picture with any of these.
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
    """Assign heads to a family, largest first; return the remaining comparison budget."""
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
