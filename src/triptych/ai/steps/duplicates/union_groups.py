"""Groups from pairs: each content joins the largest content that is the same picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
from scipy.cluster.hierarchy import DisjointSet

ASKED_MAX = 200_000
"""The most pairs of a family that are compared to divide it; then known pairs decide."""
CHECKED_MAX = 12
"""Members of a group, the first, that each further one must not contradict."""

Indices = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How two contents go together."""

    same: bool
    """They are one picture."""
    contradict: bool
    """They cannot be in one group, whatever its other members are: one product in two colours."""
    distance: float
    """Of their colours; a content that fits two goes with the nearer one."""


DIFFERENT = Verdict(False, False, 0.0)


class Comparison(Protocol):
    """What decides about pairs. Repeated questions cost nothing."""

    def compare(self, first: int, second: int) -> Verdict:
        """Return how two contents go together, whichever comes first."""
        ...

    def grey(self, content: int) -> bool:
        """Return whether a content is known to be without colour."""
        ...


def choose_heads(
    count: int,
    pairs: Sequence[tuple[int, int]],
    judge: Comparison,
    progress: Callable[[float], None],
) -> Indices:
    """Return the head of each content; a head, or a content without copies, is its own.

    Contents are numbered from the largest, and ``pairs`` come likeliest first. Pairs that are one
    picture join families; pairs within a family need no comparison. A family may be a chain of
    different pictures, so heads are taken from it, those in colour first, of these the largest: a
    head takes all that are one picture with it, and those known to be one picture with any of
    these, unless they contradict one of its group. What is one picture with two that contradict
    each other, as a grey picture may be, goes with the one that it is nearer to.
    """
    families = DisjointSet(range(count))
    known: dict[int, list[int]] = {}
    for done, (first, second) in enumerate(pairs, start=1):
        if not families.connected(first, second) and judge.compare(first, second).same:
            families.merge(first, second)
            known.setdefault(first, []).append(second)
            known.setdefault(second, []).append(first)
        progress(done / len(pairs))
    members: dict[int, list[int]] = {}
    for content in sorted(known, key=lambda one: (judge.grey(one), one)):
        members.setdefault(families[content], []).append(content)
    division = _Division(judge, known, np.arange(count))
    for family in members.values():
        division.divide(family)
    return division.head_of


class _Division:
    """Divides families into groups, and counts what that costs."""

    def __init__(self, judge: Comparison, known: dict[int, list[int]], head_of: Indices) -> None:
        self.head_of = head_of
        self._judge = judge
        self._known = known
        self._left = ASKED_MAX

    def divide(self, family: list[int]) -> None:
        """Assign heads to a family, in its order."""
        while family:
            group = self._group(family[0], family[1:])
            self.head_of[group] = family[0]
            taken = set(group)
            family = [one for one in family if one not in taken]

    def _group(self, head: int, others: Sequence[int]) -> list[int]:
        verdicts = {one: self._ask(head, one) for one in others}
        rivals = [
            one
            for one, said in verdicts.items()
            if said is not None
            and said.contradict
            and self._judge.grey(one) == self._judge.grey(head)
        ]
        group, later = [head], []
        for one in others:
            said = verdicts[one]
            direct = said.same if said else one in self._known[head]
            if not direct:
                later.append(one)
            elif not self._nearer(one, said, rivals) and self._fits(one, group):
                group.append(one)
        leaders = set(group[1:])
        for one in later:
            if self._follows(one, verdicts[one], group, leaders) and self._fits(one, group):
                group.append(one)
        return group

    def _follows(self, one: int, said: Verdict | None, group: list[int], leaders: set[int]) -> bool:
        """Return whether a content is one picture with one that the head leads."""
        linked = leaders.intersection(self._known[one])
        if said is None or self._judge.grey(one) == self._judge.grey(group[0]):
            return bool(linked) and not (said is not None and said.contradict)
        # A grey copy need not have the grey of the head, which may be framed or brighter. But of
        # many edits, one may have the grey of another product.
        coloured = [other for other in group[:CHECKED_MAX] if not self._judge.grey(other)]
        answers = [self._ask(other, one) for other in coloured]
        agreeing = sum(answer is not None and answer.same for answer in answers)
        return 2 * agreeing > len(coloured)

    def _nearer(self, one: int, said: Verdict | None, rivals: Sequence[int]) -> bool:
        """Return whether a content is nearer to one that contradicts the head."""
        if said is None:
            return False
        answers = (self._ask(rival, one) for rival in rivals)
        return any(
            other is not None and other.same and other.distance < said.distance for other in answers
        )

    def _fits(self, one: int, group: Sequence[int]) -> bool:
        """Return whether a content contradicts none of a group; the head was asked before.

        Only two in colour, or two in grey, are asked about: a grey copy need not have the grey of
        every other edit of its original.
        """
        grey = self._judge.grey(one)
        if grey and not self._judge.grey(group[0]):
            return True
        alike = (member for member in group[1:CHECKED_MAX] if self._judge.grey(member) == grey)
        answers = (self._ask(member, one) for member in alike)
        return not any(said is not None and said.contradict for said in answers)

    def _ask(self, first: int, second: int) -> Verdict | None:
        """Compare two contents; None if no more may be compared."""
        if not self._left:
            return None
        self._left -= 1
        return self._judge.compare(first, second)
