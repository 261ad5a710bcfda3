"""Phrases that the names or titles of a cluster's pictures share, and other pictures' do not.

A phrase is a run of words, such as "air fryer". What says nothing about the content is no word:
numbers, hashes, dates, dimensions, and what tools and people append, such as "min", "scaled" or
"copy".
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from urllib.parse import unquote, urlsplit

import numpy as np

from triptych.ai.colour_words import WORDS as COLOURS
from triptych.ai.points import Indices

WORDS_MAX = 5
"""The most words of a phrase."""
TEXT_WORDS_MAX = 30
"""The words of one text that are examined, from its start: titles are shorter."""
SEEN_MAX = 500
"""The most members of a cluster whose phrases are candidates, nearest its centre first."""
COMMON = 0.6
"""Least share of a cluster's members that have the phrase."""
RARE = 3.0
"""How many times as frequent the phrase must be as among the brand's other pictures."""
LONGER = 0.8
"""A longer phrase is preferred while this share of those with the most frequent one have it."""
RELATED = 0.25
"""Where most of the pictures that have the phrase are outside the cluster, they must look like it:
the least mean projection on the cluster's direction, of pictures outside, as a share of the
members'. So "air fryer" may label one cluster of several, and what all files of a photographer or
a source begin with may not."""

TOKEN = re.compile(r"[^\W_]+")
WORD = re.compile(r"([^\W\d_]{1,20})(\d*)")
"""Letters, perhaps with a number of their own: ``sneaker12``. Single letters are no words, but
links may be."""
NUMBERED_MIN = 3
"""Least letters of a word with a number: ``ab12`` is an article's number."""
WORDS_KEPT = 10_000
"""Words whose singular is cached: a brand's texts repeat theirs."""
EXTENSION_MAX_CHARS = 4
MEANING_MIN = 3
"""A phrase has a word of at least this many letters."""
IGNORED_WORDS = """
    img image images photo photos photograph picture pictures pic pics png jpg jpeg jpe webp gif svg
    avif tif tiff bmp heic psd file files asset assets media upload uploads download downloads dsc
    dscn dscf imgp pxl mvimg screenshot untitled unnamed default index html thumb thumbs thumbnail
    thumbnails preview icon small medium large big huge tiny mini full fullsize size sized original
    orig raw master source copy copie kopie duplicate final finale version ver rev edit edited
    retouched export exported web print min mini minified optimized optimised compressed scaled
    resized resize cropped crop rotated hires lowres hd uhd retina px dpi rgb cmyk srgb desktop
    mobile tablet new old test temp tmp draft hash cdn main alt front rear side angle view detail
    closeup shot variant product products item sku www com http https
"""
"""Words of names that say nothing about the content, most of them appended by tools."""
IGNORED = frozenset(IGNORED_WORDS.split())
LINK_WORDS = "a an and at de der des die du for in la le mit of on or the to und with"
"""Words that a phrase may contain, but not begin or end with."""
LINKS = frozenset(LINK_WORDS.split())
Words = tuple[str, ...]
Alike = Callable[[Indices, Indices], float]


@dataclass(frozen=True, slots=True)
class Phrase:
    """What a cluster's texts share."""

    text: str
    """In lower case, in its most frequent spelling."""
    words: int
    members: int
    """How many of the cluster's members have it."""


def shared_phrases(
    texts: Sequence[Sequence[str]], families: Sequence[Indices], alike: Alike
) -> list[Phrase | None]:
    """Return the longest phrase that most members of each cluster share and few others have.

    Args:
        texts: each picture's names or titles.
        families: the rows of each cluster's pictures.
        alike: how much some pictures look like a cluster: their mean projection on its direction,
            as a share of its members' own. Given the cluster's rows and theirs.
    """
    candidates = [_candidates(texts, family) for family in families]
    rows_of = _rows_of({words for found in candidates for words in found}, texts)
    found: list[Phrase | None] = []
    for family, spellings in zip(families, candidates, strict=True):
        inside = np.zeros(len(texts), bool)
        inside[family] = True
        counts: dict[Words, int] = {}
        for words in spellings:
            rows = rows_of[words]
            members = int(inside[rows].sum())
            others = rows[~inside[rows]]
            if _is_common(members, others.size, family.size, len(texts)) and (
                members >= others.size or alike(family, others) >= RELATED
            ):
                counts[words] = members
        found.append(_longest(counts, spellings))
    return found


def _is_common(members: int, others: int, size: int, everything: int) -> bool:
    """Whether a phrase is frequent among a cluster's members, and rare among the others."""
    rest = max(everything - size, 1)
    return members >= COMMON * size and members / size >= RARE * others / rest


def _longest(counts: dict[Words, int], spellings: dict[Words, str]) -> Phrase | None:
    if not counts:
        return None
    least = LONGER * max(counts.values())
    frequent = [words for words, count in counts.items() if count >= least]
    best = min(frequent, key=lambda words: (-len(words), -counts[words], words))
    return Phrase(spellings[best], len(best), counts[best])


def _candidates(texts: Sequence[Sequence[str]], family: Indices) -> dict[Words, str]:
    """Return the phrases of most members, and the most frequent spelling of each."""
    seen = family[:SEEN_MAX]
    counts = Counter(word for asset in seen.tolist() for word in _words_of(texts[asset]))
    # A common phrase has common words only, so few phrases are built.
    common = {word for word, count in counts.items() if count >= COMMON * seen.size}
    spelled: dict[Words, Counter[str]] = {}
    for asset in seen.tolist() if common else ():
        for words, text in _phrases_of(texts[asset], common).items():
            spelled.setdefault(words, Counter())[text] += 1
    return {
        words: min(counts, key=lambda text: (-counts[text], text))
        for words, counts in spelled.items()
        if counts.total() >= COMMON * seen.size
    }


def _rows_of(wanted: set[Words], texts: Sequence[Sequence[str]]) -> dict[Words, Indices]:
    """Return which pictures have each of some phrases."""
    rows: dict[Words, list[int]] = {words: [] for words in wanted}
    # Most words begin no phrase, so few phrases of a large brand are built at all.
    starts = {words[0] for words in wanted}
    for asset, each in enumerate(texts) if wanted else ():
        found: set[Words] = set()
        for run in (tuple(map(singular, run)) for text in each for run in _runs(text)):
            for start, word in enumerate(run):
                if word in starts:
                    ends = range(start + 1, min(start + WORDS_MAX, len(run)) + 1)
                    found.update(run[start:end] for end in ends if run[start:end] in wanted)
        for words in found:
            rows[words].append(asset)
    return {words: np.array(found, np.intp) for words, found in rows.items()}


def _words_of(texts: Iterable[str]) -> set[str]:
    return {singular(word) for text in texts for run in _runs(text) for word in run}


def _phrases_of(texts: Iterable[str], common: set[str]) -> dict[Words, str]:
    """Return the phrases of some words in one picture's texts, in the singular and as spelled."""
    return {
        tuple(map(singular, part)): " ".join(part)
        for text in texts
        for run in _runs(text)
        for is_common, words in groupby(run, lambda word: singular(word) in common)
        if is_common
        for part in _parts(list(words))
    }


def _parts(run: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the phrases in a run of words."""
    for start in range(len(run)):
        for end in range(start + 1, min(start + WORDS_MAX, len(run)) + 1):
            part = run[start:end]
            if part[0] in LINKS or part[-1] in LINKS:
                continue
            if any(len(word) >= MEANING_MIN and word not in COLOURS for word in part):
                yield part


def _runs(text: str) -> Iterator[list[str]]:
    """Yield the runs of words between what is no word."""
    run: list[str] = []
    for token in TOKEN.findall(text.casefold())[:TEXT_WORDS_MAX]:
        found = WORD.fullmatch(token)
        if found and found[2] and len(found[1]) < NUMBERED_MIN:
            found = None
        if found and len(found[1]) == 1 and found[1] not in LINKS:
            found = None
        if found is None or found[1] in IGNORED:
            yield run
            run = []
            continue
        run.append(found[1])
        if found[2]:  # A number ends a phrase.
            yield run
            run = []
    yield run


@lru_cache(WORDS_KEPT)
def singular(word: str) -> str:
    """Return an English word without a plural's ending, so that both forms are equal."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("ches", "shes", "sses", "xes")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def file_name(url: str) -> str:
    """Return the last part of a URL's path without its extension; empty if there is none."""
    try:
        path = unquote(urlsplit(url).path)
    except ValueError:
        return ""
    name = path.rstrip("/").rpartition("/")[2]
    stem, dot, extension = name.rpartition(".")
    return stem if dot and stem and len(extension) <= EXTENSION_MAX_CHARS else name
