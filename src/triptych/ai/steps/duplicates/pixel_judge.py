"""Whether two contents are one picture: by their pixels or, without pixels, by fingerprints.

For photographs all evidence is added up: nearer embeddings make up for details that agree less.
Marks and drawings are judged more strictly, since many differ only slightly: they are compared as
wholes, without their background, and must agree everywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triptych.ai.steps.duplicates.exact_copies import Contents
from triptych.ai.steps.duplicates.registration import Agreement, agreement
from triptych.ai.steps.duplicates.union_groups import DIFFERENT, Verdict
from triptych.ai.steps.duplicates.views import View, Views

EVIDENCE_MIN = 1.15
"""Least sum of detail agreement and cosine for two copies of one photograph."""
DETAIL_MIN = 0.25
DETAIL_ALONE_MIN = 0.6
"""Least detail agreement where there is no embedding."""
ALIGNED_MIN = 0.75
"""Least detail agreement at which colours that do not match prove two different pictures."""
PLAIN_DETAIL_MIN = 0.85
PLAIN_WORST_MIN = 0.5
"""Least agreement of plain pictures, overall and in the worst tenth."""
AGREE_MAX_BITS = 10
AGREE_COSINE_MIN = 0.88
"""Limits for copies judged by fingerprints alone: each errs where the other does not."""
COMPARISONS_MAX = 40_000
"""The most pairs a step compares by pixels, a few milliseconds each; then by fingerprints."""


def agree(cosines: npt.ArrayLike, bits: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Return which pairs are one picture by fingerprints alone; a missing cosine is NaN."""
    return (np.asarray(bits) <= AGREE_MAX_BITS) & (np.asarray(cosines) >= AGREE_COSINE_MIN)


def compare_views(first: View, second: View, cosine: float) -> Verdict:
    """Return whether two views are of one picture; ``cosine`` is NaN where there is none."""
    plain = first.plain or second.plain
    found = agreement(first, second, parts=not plain)
    if plain:
        enough = found.detail >= PLAIN_DETAIL_MIN and found.worst >= PLAIN_WORST_MIN
    else:
        enough = _enough(found, cosine)
    contradict = found.colours.contradict
    return Verdict(
        enough and not contradict,
        contradict and found.detail >= ALIGNED_MIN,
        found.colours.distance,
    )


def _enough(found: Agreement, cosine: float) -> bool:
    if np.isnan(cosine):
        return found.detail >= DETAIL_ALONE_MIN
    return found.detail >= DETAIL_MIN and found.detail + cosine >= EVIDENCE_MIN


class Judge:
    """Decides whether contents are one picture, and remembers its verdicts."""

    def __init__(
        self, views: Views, embeddings: npt.NDArray[np.float16], contents: Contents
    ) -> None:
        self._views = views
        self._embeddings = embeddings
        self._contents = contents
        self._said: dict[tuple[int, int], Verdict] = {}
        self.compared = 0
        """Number of pairs that were compared by pixels."""

    def compare(self, first: int, second: int) -> Verdict:
        """Return whether two contents are one picture."""
        pair = (min(first, second), max(first, second))
        if pair not in self._said:
            self._said[pair] = self._judge(*pair)
        return self._said[pair]

    def grey(self, content: int) -> bool:
        """Return whether a content is known to be without colour."""
        view = self._views.of(int(self._contents.first[content]))
        return view is not None and not view.coloured

    def _judge(self, first: int, second: int) -> Verdict:
        cosine = self._cosine(first, second)
        if self.compared < COMPARISONS_MAX:
            one, other = (self._views.of(int(self._contents.first[at])) for at in (first, second))
            if one is not None and other is not None:
                self.compared += 1
                return compare_views(one, other, cosine)
        if not self._contents.structured[[first, second]].all():
            return DIFFERENT
        hashes = self._contents.hashes
        alike = bool(agree(cosine, np.bitwise_count(hashes[first] ^ hashes[second])))
        return Verdict(alike, False, 0.0)

    def _cosine(self, first: int, second: int) -> float:
        rows = self._contents.vector[[first, second]]
        if (rows < 0).any():
            return float("nan")
        one, other = self._embeddings[rows].astype(np.float32)
        return float(one @ other)
