"""Names of clusters: ids that are stable from run to run, and labels made of tags."""

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
"""Share of the smaller cluster's assets, among those in both snapshots, that must be in both
clusters for the new one to take the old one's name."""
NAME_CHARS = 12


def name_clusters(snapshot: Snapshot, families: Sequence[Indices]) -> tuple[list[str], int]:
    """Return a unique name for each cluster, and how many names were kept.

    New and previous clusters are matched one to one, those that share the most assets first. When
    a cluster splits, the larger part keeps the name; when two merge, the name of the larger one is
    kept. A new cluster is named by the key of the asset nearest its centre.
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
    # Greedy matching, largest overlap first; number and name break ties the same way each run.
    for shared, number, name in sorted(overlaps, key=lambda one: (-one[0], one[1], one[2])):
        smaller = min(now_sizes[number], then_sizes[name])
        if names[number] is None and name not in taken and shared >= KEPT_SHARE * smaller:
            names[number] = name
            taken.add(name)
    kept = len(taken)
    # A previous name is never reused for another cluster: users may remember it.
    taken |= set(then_sizes)
    for number, family in enumerate(families):
        if names[number] is None:
            name = _new(snapshot.key(int(family[0])), taken)
            names[number] = name
            taken.add(name)
    return [str(name) for name in names], kept


def _new(key: str, taken: set[str]) -> str:
    """Return the shortest prefix of a key that is not a name yet."""
    heads = (key[:length] for length in range(NAME_CHARS, len(key) + 1))
    numbered = (f"{key}-{number}" for number in range(2, len(taken) + 3))
    return next(name for name in (*heads, *numbered) if name not in taken)


def _before(snapshot: Snapshot) -> list[str | None]:
    """Return each asset's cluster in the previous snapshot: empty for noise, None if it is new."""
    earlier = snapshot.context.earlier
    if earlier is None or "clusters" not in earlier.results:
        return [None] * len(snapshot)
    column = earlier.marks.get("cluster", ())
    rows = earlier.rows_of(snapshot.keys)
    return [None if row < 0 else (column[row] or "") for row in np.asarray(rows).tolist()]


SCORE_MIN = 0.5
"""Least calibrated score of a tag with a cluster's mean for the tag to be its label."""
SEEN_MAX = 500
"""The most members of a cluster whose tags and colours are examined, nearest first."""
COMMON = 0.6
"""Least share of a cluster's members that have a word."""
RARE = 3.0
"""How many times as frequent that word must be as among the brand's other pictures."""
STANDS_OUT = 0.25
"""How much larger a colour's share must be in a cluster than in its brand."""
WORD = re.compile(r"[^\W\d_]{3,20}")
PLAIN_WORDS = """
img image images photo photos picture pictures pic png jpg jpeg webp gif svg avif tiff bmp file
files asset assets media thumb thumbnail small medium large full size original copy final the and
for with dsc edited default index html
"""
"""Words in file names that say nothing about the content."""
PLAIN = frozenset(PLAIN_WORDS.split())

log = structlog.get_logger(__name__)


def label_all(snapshot: Snapshot, families: Sequence[Indices]) -> list[str | None]:
    """Return a unique label for each cluster; None where no candidate fits.

    Candidates, in this order: the tag that fits the cluster best and better than the brand, if
    there is a text encoder; a word that most of its file names have and few others; the colour
    that it has more of than the brand. Equal labels get a second candidate appended, then a number.
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
    """Return the tag that fits each cluster best, relative to the brand as a whole."""
    try:
        encoder = snapshot.context.text() if families and snapshot.model is not None else None
        vocabulary = snapshot.context.vocabulary()
    except (ModelError, SettingsError) as error:
        # The step `tags` reports this error; clusters are useful without tags.
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
    # Subtract the brand's mean: a tag that fits every cluster does not distinguish any.
    whole = np.average(scores, axis=0, weights=[family.size for family in families])
    contrast = scores - whole if len(families) > 1 else scores
    contrast[encoder.calibrate(scores) < SCORE_MIN] = -np.inf
    best = contrast.argmax(axis=1)
    return [
        vocabulary.tags[tag].name if contrast[number, tag] > 0 else None
        for number, tag in enumerate(best)
    ]


def _file_words(snapshot: Snapshot, families: Sequence[Indices]) -> list[str | None]:
    """Return the word that most of a cluster's file names have, and few others."""
    everywhere: Counter[str] = Counter()
    for url in snapshot.urls:
        everywhere.update(file_words(url))
    found: list[str | None] = []
    for family in families:
        here: Counter[str] = Counter()
        others = len(snapshot) - family.size
        for asset in family.tolist():
            here.update(file_words(snapshot.urls[asset]))
        # Common within the cluster, and rare in the rest of the brand.
        distinctive = [
            (-count, word)
            for word, count in here.items()
            if count >= COMMON * family.size
            and count / family.size >= RARE * (everywhere[word] - count) / max(others, 1)
        ]
        found.append(min(distinctive)[1] if distinctive else None)
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
