"""Off-brand treatment: pictures that were edited in another way than the rest of the brand.

The outliers of `triptych.ai.steps.look.outliers` show other things; these show the same things, but
in black and white, in a duotone, in a coloured frame, under a badge, or soft. A treatment is off
brand only where it is rare in the brand. Limits were measured: docs/insights.md, room `treatments`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.context import Features
from triptych.ai.step import Snapshot
from triptych.features.file_feature import FILE, facts_of
from triptych.features.picture_quality import DETAIL_SOFT
from triptych.media.file_facts import FileFacts, Style

PICTURES_MIN = 12
"""Least number of pictures to call the treatment of any unlike the others'."""
RARE = 0.1
"""Share of a brand's pictures below which a treatment is off brand."""
FAR = 6.0
"""Modified z-score from which a single measure is off brand. `outliers.FAR` is lower, because there
one number is judged, and here the farthest of several."""
DEVIATION = 1.4826
"""Scales a median absolute deviation to a standard deviation."""
GREY_CHROMA = 1.5
"""Ninth decile of chroma up to which a picture is black and white."""
COLOURFUL_CHROMA = 5.0
"""The same, from which a brand's usual picture is in colour."""
DUOTONE_TONES = 1.55
"""Distance from one colour for each lightness up to which a picture is a duotone, …"""
DUOTONE_CHROMA = 4.0
"""…if its mean chroma is at least this, …"""
DUOTONE_BORDER = 3.0
"""…and its border's, too: a thing of one colour on white is none."""
CONTRAST_MIN = 5.0
"""Spread of lightness of a duotone: a plain colour is none."""
BADGE_SHARE = 0.12
"""Of a corner that a badge fills at least."""
LISTED_MAX = 50
"""The most pictures in a result, farthest first; all are marked and counted."""
NAMED: Mapping[str, Callable[[FileFacts], bool]] = {
    "black and white": lambda facts: facts.style.chroma_high <= GREY_CHROMA,
    "duotone": lambda facts: _is_duotone(facts.style),
    "framed": lambda facts: facts.style.frame > 0,
    "badge in a corner": lambda facts: facts.style.badge >= BADGE_SHARE,
    "blurred or enlarged": lambda facts: (
        facts.quality is not None
        and facts.quality.detail is not None
        and facts.quality.detail <= DETAIL_SOFT
    ),
}
"""Treatments that have a name."""
MEASURED: Mapping[str, tuple[str, str, float]] = {
    "lightness": ("lighter than the others", "darker than the others", 4.0),
    "lightness_spread": ("more contrast than the others", "less contrast than the others", 2.0),
    "green_red": ("redder than the others", "greener than the others", 1.5),
    "blue_yellow": ("yellower than the others", "bluer than the others", 1.5),
    "chroma": ("more colourful than the others", "greyer than the others", 1.5),
    "border_lightness": ("a lighter border than the others", "a darker border", 4.0),
    "border_chroma": ("a more colourful border than the others", "a greyer border", 1.5),
}
"""Measures that are compared with the brand's: what to say of more and of less, and the least
deviation, so that tiny differences among like pictures mean nothing."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Treated:
    """A picture whose treatment is off brand."""

    row: int
    score: float
    """0.5 to 1: how far it is, or how rare its treatment."""
    why: tuple[str, ...]


def find_treatments(features: Features) -> list[Treated] | None:
    """Return the pictures whose treatment is off brand, farthest first; None if too few are known.

    Files that were not read, or cannot be, are left out.
    """
    rows, known = [], []
    for row, feature in features.read(FILE.name):
        if (facts := facts_of(feature)) is not None:
            rows.append(row)
            known.append(facts)
    if len(known) < PICTURES_MIN:
        return None
    return [Treated(rows[each.row], each.score, each.why) for each in judge(known)]


def judge(known: Sequence[FileFacts]) -> list[Treated]:
    """Return which of some pictures are treated unlike the others, farthest first."""
    why: list[list[str]] = [[] for _ in known]
    scores = np.zeros(len(known))
    chroma = float(np.median([facts.style.chroma_high for facts in known]))
    for name, is_treated in NAMED.items():
        if name == "black and white" and chroma < COLOURFUL_CHROMA:
            continue
        having = [place for place, facts in enumerate(known) if is_treated(facts)]
        share = len(having) / len(known)
        if share < RARE:
            for place in having:
                why[place].append(name)
                scores[place] = max(scores[place], 1 - share / (2 * RARE))
    for name, (more, less, least) in MEASURED.items():
        values = np.array([getattr(facts.style, name) for facts in known])
        middle = float(np.median(values))
        deviation = max(DEVIATION * float(np.median(np.abs(values - middle))), least)
        far = (values - middle) / deviation
        having = np.flatnonzero(np.abs(far) >= FAR).tolist()
        for place in having if len(having) < RARE * len(known) else ():
            why[place].append(more if far[place] > 0 else less)
            away = abs(float(far[place]))
            scores[place] = max(scores[place], away / (away + FAR))
    found = [
        Treated(place, round(float(scores[place]), 3), tuple(words))
        for place, words in enumerate(why)
        if words
    ]
    return sorted(found, key=lambda each: (-each.score, each.row))


def described(snapshot: Snapshot, treated: Sequence[Treated]) -> list[dict[str, Any]]:
    """Return the first of them as results name them: {key, score, why: [text, …]}."""
    return [
        {"key": snapshot.key(each.row), "score": each.score, "why": list(each.why)}
        for each in treated[:LISTED_MAX]
    ]


def _is_duotone(style: Style) -> bool:
    return (
        style.tones <= DUOTONE_TONES
        and style.chroma >= DUOTONE_CHROMA
        and style.border_chroma >= DUOTONE_BORDER
        and style.lightness_spread >= CONTRAST_MIN
    )
