"""Labels of clusters: what their pictures are named after, or what they show.

A label that does not fit a cluster clearly better than the brand is left out: no label is better
than a wrong one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np
import numpy.typing as npt
import structlog

from triptych.ai.colour_words import places, words
from triptych.ai.points import Floats, Indices, blocks
from triptych.ai.step import Snapshot
from triptych.ai.steps.clusters.shared_phrases import Phrase, file_name, shared_phrases
from triptych.ai.steps.tags.tag_directions import directions
from triptych.ai.steps.tags.tags import GRAPHIC
from triptych.errors import ModelError, SettingsError
from triptych.features.picture_text import TEXT, PictureText

Origin = Literal["names", "metadata", "text", "tag"]
SEEN_MAX = 500
"""The most members of a cluster whose embeddings and colours are examined, nearest first."""
SCORE_MIN = 0.33
KIND_MIN = 0.75
"""Least calibrated score of a tag with a cluster's mean for the tag to be its label, and of a tag
that is a kind of another (`tags.KIND_MIN`). A mean of many pictures is surer than one picture,
whose least score is higher."""
CONFIDENCE_MIN = 0.8
"""Least confidence of a line of text: a label with a misread word is a wrong one."""
LINES_MAX = 20
"""Lines of one picture whose words are examined, from the top."""
LIFT_MIN = 14.0
"""How many times as large the odds of that score must be as those of the brand's mean."""
BLOCK_ROWS = 4_096
TINY = 1e-6
STANDS_OUT = 0.25
"""How much larger a colour's share must be in a cluster than in its brand."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Label:
    """A cluster's label, unique within its brand."""

    text: str
    origin: Origin
    """What it comes from: file names, titles in the metadata, text in the pictures, or the tag that
    fits best."""


def label_all(snapshot: Snapshot, families: Sequence[Indices]) -> list[Label | None]:
    """Return a label for each cluster; None where no candidate fits.

    Candidates, in this order: the longest phrase that most of its file names or titles share, and
    few others; such a phrase of the text in its pictures, where that has been read; the tag that
    fits it clearly better than the brand, if there is a text encoder.
    Equal labels get the colour appended that distinguishes the cluster, then a number.
    """
    means = _Means(snapshot, families)
    names = [(file_name(url),) for url in snapshot.urls]
    titles = snapshot.titles or [()] * len(snapshot)
    by_origin: tuple[tuple[Origin, Sequence[Phrase | None]], ...] = (
        ("metadata", shared_phrases(titles, families, means.alike)),
        ("names", shared_phrases(names, families, means.alike)),
    )
    read = shared_phrases(_read(snapshot), families, means.alike)
    tags = _best_tags(snapshot, means)
    colours = _colours(snapshot, [family[:SEEN_MAX] for family in families])
    labels: list[Label | None] = []
    taken: set[str] = set()
    for number in range(len(families)):
        phrases = [(found[number], origin) for origin, found in by_origin]
        named = [(p, origin) for p, origin in phrases if p is not None]
        label = _chosen(named, read[number], tags[number])
        if label is not None:
            label = Label(_unique(label.text, colours[number], taken, len(families)), label.origin)
            taken.add(label.text)
        labels.append(label)
    return labels


def _read(snapshot: Snapshot) -> list[tuple[str, ...]]:
    """Return the lines that were read in each picture, those that are sure."""
    lines: list[tuple[str, ...]] = [()] * len(snapshot)
    for row, feature in snapshot.context.features.read(TEXT.name):
        text = PictureText.of(feature)
        if text is not None:
            sure = (line.text for line in text.lines if line.confidence >= CONFIDENCE_MIN)
            lines[row] = tuple(islice(sure, LINES_MAX))
    return lines


def _chosen(
    phrases: Sequence[tuple[Phrase, Origin]], read: Phrase | None, tag: str | None
) -> Label | None:
    if phrases:
        # The first of equals: titles are written for people.
        phrase, origin = max(phrases, key=lambda each: (each[0].words, each[0].members))
        return Label(phrase.text, origin)
    if read is not None:
        return Label(read.text, "text")
    return None if tag is None else Label(tag, "tag")


def _unique(text: str, colour: str | None, taken: set[str], count: int) -> str:
    options = [text, f"{text}, {colour}"] if colour else [text]
    numbered = (f"{options[-1]} {number}" for number in range(2, count + 2))
    return next(option for option in (*options, *numbered) if option not in taken)


class _Means:
    """The mean embedding of each cluster, and of the brand."""

    def __init__(self, snapshot: Snapshot, families: Sequence[Indices]) -> None:
        self._embeddings = snapshot.embeddings
        self._row_of = np.full(len(snapshot), -1, np.intp)
        self._row_of[snapshot.embedded] = np.arange(snapshot.embedded.size)
        total = np.zeros(snapshot.embeddings.shape[1])
        for block in blocks(len(snapshot.embeddings), BLOCK_ROWS):
            total += snapshot.embeddings[block].astype(np.float32).sum(axis=0)
        self.brand = np.asarray(total / max(len(snapshot.embeddings), 1), np.float32)
        """(d,)."""
        means = [self._vectors(family[:SEEN_MAX]).mean(axis=0) for family in families]
        self.families = np.stack(means) if means else np.empty((0, total.size), np.float32)
        """(families, d)."""

    def alike(self, family: Indices, others: Indices) -> float:
        """Return how much other assets look like a family; see `shared_phrases`."""
        members, rest = self._vectors(family[:SEEN_MAX]), self._vectors(others[:SEEN_MAX])
        if not len(rest):
            return 0.0
        direction = members.mean(axis=0) - self.brand
        own = float(((members - self.brand) @ direction).mean())
        return float(((rest - self.brand) @ direction).mean()) / max(own, TINY)

    def _vectors(self, assets: Indices) -> Floats:
        rows = self._row_of[assets]
        return np.asarray(self._embeddings[rows[rows >= 0]], np.float32)


def _best_tags(snapshot: Snapshot, means: _Means) -> list[str | None]:
    """Return the tag that fits each cluster best, if it fits it clearly better than the brand."""
    nothing: list[str | None] = [None] * len(means.families)
    try:
        encoder = snapshot.context.text() if nothing and snapshot.model is not None else None
        vocabulary = snapshot.context.vocabulary()
    except (ModelError, SettingsError) as error:
        # The step `tags` reports this error; clusters are useful without tags.
        log.warning("labels_without_tags", error=str(error))
        return nothing
    if encoder is None or encoder.image_model != snapshot.model:
        return nothing
    known = directions(encoder, vocabulary)
    scores = encoder.calibrate(means.families @ known.vectors.T)
    lift = _odds(scores) / _odds(encoder.calibrate(means.brand @ known.vectors.T))
    least = np.where(known.parents >= 0, KIND_MIN, SCORE_MIN)
    fits = known.known & (scores >= least) & (lift >= LIFT_MIN)
    if known.graphic is not None:
        fits &= (means.families @ known.graphic < GRAPHIC)[:, None]
    best = np.where(fits, lift, 0).argmax(axis=1)
    return [
        vocabulary.tags[tag].name if fits[number, tag] else None for number, tag in enumerate(best)
    ]


def _odds(scores: Floats) -> Floats:
    likely = np.clip(scores, TINY, 1 - TINY)
    return np.asarray(likely / (1 - likely), np.float32)


def _colours(snapshot: Snapshot, families: Sequence[Indices]) -> list[str | None]:
    """Return the colour word that each cluster has clearly more of than the brand."""
    shares = _ColourShares(snapshot)
    whole = shares.of(np.arange(len(snapshot)))
    found: list[str | None] = []
    for family in families:
        more = {word: share - whole.get(word, 0) for word, share in shares.of(family).items()}
        word = max(more, key=lambda word: (more[word], word), default=None)
        found.append(word if word is not None and more[word] >= STANDS_OUT else None)
    return found


class _ColourShares:
    """The share of each colour word in the pixels of some assets."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._counts = np.array([len(each) for each in snapshot.colours], np.intp)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        flat = [colour for each in snapshot.colours for colour in each]
        packed = np.array([colour.rgb for colour in flat], np.intp)
        self._shares = np.array([colour.share for colour in flat])
        different, self._word_of = np.unique(packed, return_inverse=True)
        names = words_of(different)
        self._words, of_colour = np.unique(np.array(names, np.str_), return_inverse=True)
        self._word_of = of_colour[self._word_of]

    def of(self, assets: Indices) -> dict[str, float]:
        coloured = assets[self._counts[assets] > 0]
        if not coloured.size:
            return {}
        rows = np.concatenate([np.arange(self._starts[a], self._starts[a + 1]) for a in coloured])
        sums = np.bincount(self._word_of[rows], self._shares[rows], self._words.size)
        return {
            str(self._words[at]): float(sums[at]) / coloured.size for at in np.flatnonzero(sums)
        }


def words_of(packed: npt.NDArray[np.intp]) -> list[str]:
    """Return a word for each colour ``0xRRGGBB``, some thousands at a time."""
    found: list[str] = []
    for start in range(0, packed.size, 10_000):
        found += words(places(packed[start : start + 10_000]))
    return found
