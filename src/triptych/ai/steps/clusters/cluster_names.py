"""What clusters are called: identities that last from run to run, and labels made of tags."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt
import structlog

from triptych.ai.colour_words import places, words
from triptych.ai.points import Indices
from triptych.ai.step import Snapshot
from triptych.ai.steps.tags.tags import directions
from triptych.errors import ModelError, SettingsError

KEPT_SHARE = 1 / 3
"""Of the assets that both snapshots have: how many of the smaller cluster's must be in both
clusters for the new one to take the old one's name."""
NAME_CHARS = 12


def named(snapshot: Snapshot, families: Sequence[Indices]) -> tuple[list[str], int]:
    """Return a name for each cluster, all different, and how many were kept.

    Where the snapshot before had clusters, those that share the most assets are paired first, each
    with one other. When one splits, the larger part keeps the name; when two become one, it has
    the larger one's. A new cluster is named by the key of the asset nearest its centre.
    """
    names: list[str | None] = [None] * len(families)
    before = _before(snapshot)
    overlaps: list[tuple[int, int, str]] = []
    now_sizes: list[int] = []
    for number, family in enumerate(families):
        known = [name for name in (before[asset] for asset in family.tolist()) if name is not None]
        overlaps += [(count, number, name) for name, count in Counter(known).items() if name]
        now_sizes.append(len(known))
    then_sizes = Counter(name for name in before if name)
    taken: set[str] = set()
    for shared, number, name in sorted(overlaps, key=lambda one: (-one[0], one[1], one[2])):
        smaller = min(now_sizes[number], then_sizes[name])
        if names[number] is None and name not in taken and shared >= KEPT_SHARE * smaller:
            names[number] = name
            taken.add(name)
    kept = len(taken)
    # A name that was given once is not given to another cluster while anybody may remember it.
    taken |= set(then_sizes)
    for number, family in enumerate(families):
        if names[number] is None:
            name = _new(snapshot.key(int(family[0])), taken)
            names[number] = name
            taken.add(name)
    return [str(name) for name in names], kept


def _new(key: str, taken: set[str]) -> str:
    """Return the head of a key that is long enough to be nobody's name."""
    heads = (key[:length] for length in range(NAME_CHARS, len(key) + 1))
    numbered = (f"{key}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (*heads, *numbered) if name not in taken)


def _before(snapshot: Snapshot) -> list[str | None]:
    """Return each asset's cluster of the snapshot before: empty for noise, None if it is new."""
    earlier = snapshot.context.earlier
    if earlier is None or "clusters" not in earlier.results:
        return [None] * len(snapshot)
    column = earlier.marks.get("cluster", ())
    rows = earlier.rows_of(snapshot.keys)
    return [None if row < 0 else (column[row] or "") for row in np.asarray(rows).tolist()]


SCORE_MIN = 0.5
"""Calibrated score of a tag's vector with a cluster's mean from which the tag may be its label."""
SEEN_MAX = 500
"""Members of a cluster whose tags and colours are looked at, nearest its centre first."""
COMMON = 0.6
"""Share of a cluster's members that must have a word."""
RARE = 3.0
"""How many times as frequent as among the brand's other pictures that word must be."""
STANDS_OUT = 0.25
"""How much larger a colour's share must be in a cluster than in its brand."""
WORD = re.compile(r"[^\W\d_]{3,20}")
PLAIN_WORDS = """
img image images photo photos picture pictures pic png jpg jpeg webp gif svg avif tiff bmp file
files asset assets media thumb thumbnail small medium large full size original copy final the and
for with dsc edited default index html
"""
"""In names of files they say nothing of what is shown."""
PLAIN = frozenset(PLAIN_WORDS.split())

log = structlog.get_logger(__name__)


def label_all(snapshot: Snapshot, families: Sequence[Indices]) -> list[str | None]:
    """Return a label for each cluster, no two the same; None where nothing tells it.

    In this order: the tag that fits the cluster best and better than the brand, if a text encoder
    is there; words that most of its files' names have and few others; the colour that it has more
    of than the brand. A second one tells clusters of one label apart, then a number.
    """
    seen = [family[:SEEN_MAX] for family in families]
    kinds = (_tags(snapshot, seen), _file_words(snapshot, families), _colours(snapshot, seen))
    taken: set[str] = set()
    labels: list[str | None] = []
    for candidates in zip(*kinds, strict=True):
        found = [text for text in candidates if text]
        if not found:
            labels.append(None)
            continue
        options = [found[0], *(f"{found[0]}, {other}" for other in found[1:])]
        numbered = (f"{options[-1]} {number}" for number in range(2, len(families) + 2))
        label = next(text for text in (*options, *numbered) if text not in taken)
        taken.add(label)
        labels.append(label)
    return labels


def _tags(snapshot: Snapshot, families: Sequence[Indices]) -> list[str | None]:
    """Return the tag that each cluster is likest, compared with the brand as a whole."""
    try:
        encoder = snapshot.context.text() if families and snapshot.model is not None else None
        vocabulary = snapshot.context.vocabulary()
    except (ModelError, SettingsError) as error:
        # The step `tags` fails of it and says so; clusters are worth having without.
        log.warning("labels_without_tags", error=str(error))
        encoder = None
    if encoder is None or encoder.image_model != snapshot.model:
        return [None] * len(families)
    texts = directions(encoder, vocabulary)
    row_of = np.full(len(snapshot), -1, np.intp)
    row_of[snapshot.embedded] = np.arange(snapshot.embedded.size)
    means = np.stack(
        [snapshot.embeddings[row_of[f]].astype(np.float32).mean(axis=0) for f in families]
    )
    scores = means @ texts.T
    whole = np.average(scores, axis=0, weights=[family.size for family in families])
    contrast = scores - whole if len(families) > 1 else scores
    contrast[encoder.calibrate(scores) < SCORE_MIN] = -np.inf
    best = contrast.argmax(axis=1)
    return [
        vocabulary.tags[tag].name if contrast[number, tag] > 0 else None
        for number, tag in enumerate(best)
    ]


def _file_words(snapshot: Snapshot, families: Sequence[Indices]) -> list[str | None]:
    """Return the word that most names of a cluster's files have, and few others."""
    everywhere: Counter[str] = Counter()
    for url in snapshot.urls:
        everywhere.update(file_words(url))
    found: list[str | None] = []
    for family in families:
        here: Counter[str] = Counter()
        others = len(snapshot) - family.size
        for asset in family.tolist():
            here.update(file_words(snapshot.urls[asset]))
        telling = [
            (-count, word)
            for word, count in here.items()
            if count >= COMMON * family.size
            and count / family.size >= RARE * (everywhere[word] - count) / max(others, 1)
        ]
        found.append(min(telling)[1] if telling else None)
    return found


def file_words(url: str) -> set[str]:
    """Return the words in the last part of a URL's path, in lower case."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return set()
    name = path.rstrip("/").rpartition("/")[2]
    return {word.lower() for word in WORD.findall(name)} - PLAIN


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
    """What share of some assets' pixels has which colour word."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._counts = np.array([len(each) for each in snapshot.colours], np.intp)
        self._starts = np.concatenate([[0], np.cumsum(self._counts)])
        flat = [colour for each in snapshot.colours for colour in each]
        packed = np.array([colour.rgb for colour in flat], np.intp)
        self._shares = np.array([colour.share for colour in flat])
        different, self._word_of = np.unique(packed, return_inverse=True)
        told = words_of(different)
        self._words, of_colour = np.unique(np.array(told, np.str_), return_inverse=True)
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
    told: list[str] = []
    for start in range(0, packed.size, 10_000):
        told += words(places(packed[start : start + 10_000]))
    return told
