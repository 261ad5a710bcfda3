"""Whether two contents are one picture: by their pixels, or where there are none, by fingerprints.

Of photographs, all that is known counts together: a part that agrees less is made up for by
embeddings that are nearer. Marks and drawings are told apart more strictly, for many differ in
little only: they are compared as wholes, without their ground, and must agree everywhere.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triptych.ai.steps.duplicates.exact_copies import Contents
from triptych.ai.steps.duplicates.registration import Agreement, agreement
from triptych.ai.steps.duplicates.views import View, Views

EVIDENCE_MIN = 1.15
"""Agreement of details and cosine of embeddings, added, of one photograph's two copies."""
DETAIL_MIN = 0.25
DETAIL_ALONE_MIN = 0.6
"""Agreement of details, where there is no embedding."""
COLOUR_MIN = 0.6
"""Share of the coloured places whose hue must be the same: one product comes in many colours."""
PLAIN_DETAIL_MIN = 0.85
PLAIN_WORST_MIN = 0.5
"""Agreement of plain pictures, in all and in the tenth that agrees least."""
AGREE_MAX_BITS = 10
AGREE_COSINE_MIN = 0.88
"""Fingerprints of copies whose pixels are not seen: each alone errs where the other does not."""
COMPARISONS_MAX = 40_000
"""Pairs compared by pixels in a step, each in a few milliseconds; further ones by fingerprints."""


def agree(cosines: npt.ArrayLike, bits: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Tell of which pairs the fingerprints alone show one picture; a missing cosine is NaN."""
    return (np.asarray(bits) <= AGREE_MAX_BITS) & (np.asarray(cosines) >= AGREE_COSINE_MIN)


def same_picture(first: View, second: View, cosine: float) -> bool:
    """Tell whether two views are of one picture; ``cosine`` is NaN where there is none."""
    plain = first.plain or second.plain
    found = agreement(first, second, parts=not plain)
    if found.colour < COLOUR_MIN:
        return False
    if plain:
        return found.detail >= PLAIN_DETAIL_MIN and found.worst >= PLAIN_WORST_MIN
    return _enough(found, cosine)


def _enough(found: Agreement, cosine: float) -> bool:
    if np.isnan(cosine):
        return found.detail >= DETAIL_ALONE_MIN
    return found.detail >= DETAIL_MIN and found.detail + cosine >= EVIDENCE_MIN


class Judge:
    """Says of contents whether they are one picture, and remembers it."""

    def __init__(
        self, views: Views, embeddings: npt.NDArray[np.float16], contents: Contents
    ) -> None:
        self._views = views
        self._embeddings = embeddings
        self._contents = contents
        self._said: dict[tuple[int, int], bool] = {}
        self.compared = 0
        """Pairs that were compared by pixels."""

    def same(self, first: int, second: int) -> bool:
        """Tell whether two contents are one picture."""
        pair = (min(first, second), max(first, second))
        if pair not in self._said:
            self._said[pair] = self._judge(*pair)
        return self._said[pair]

    def _judge(self, first: int, second: int) -> bool:
        cosine = self._cosine(first, second)
        if self.compared < COMPARISONS_MAX:
            one, other = (self._views.of(int(self._contents.first[at])) for at in (first, second))
            if one is not None and other is not None:
                self.compared += 1
                return same_picture(one, other, cosine)
        if not self._contents.structured[[first, second]].all():
            return False
        hashes = self._contents.hashes
        return bool(agree(cosine, np.bitwise_count(hashes[first] ^ hashes[second])))

    def _cosine(self, first: int, second: int) -> float:
        rows = self._contents.vector[[first, second]]
        if (rows < 0).any():
            return float("nan")
        one, other = self._embeddings[rows].astype(np.float32)
        return float(one @ other)
