"""Words of a query in an asset's tags, file name, picture, metadata and brand.

A word is found where it is one of the field's words, singular or plural; less so where a field's
word begins with it, or contains it. Case, accents' encoding in URLs and punctuation do not matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote, unquote, urlsplit

WORDS_MAX = 12
"""Words of a query that are looked for; the content is searched with all of them."""
PREFIX_MIN_CHARS = 3
INNER_MIN_CHARS = 4
"""Least length of a word that may be the beginning, or a part, of another one."""
PREFIX, INNER = 0.7, 0.4
"""What these count for, where a whole word counts for 1."""
VALUES_MAX = 200
"""Metadata values of an asset that are looked at."""
NO_NEWS = frozenset(
    "a an and are as at by for from in is it of on or the to with".split()  # noqa: SIM905
)
"""Words that say nothing by themselves: looked for only if a query has no others."""

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


class Field(StrEnum):
    """Where a word was found."""

    TAG = "tag"
    NAME = "name"
    TEXT = "text"
    """The text in the picture."""
    METADATA = "metadata"
    BRAND = "brand"


WEIGHTS = {
    Field.TAG: 1.0,
    Field.NAME: 0.8,
    Field.TEXT: 0.7,
    Field.METADATA: 0.6,
    Field.BRAND: 0.4,
}


@dataclass(frozen=True, slots=True)
class Found:
    """How far a query's words are an asset's."""

    share: float
    """0..1: 1 if each is one of its tags."""
    whole: bool
    """Every word was found."""
    fields: tuple[Field, ...]
    """Where, in the order of `Field`."""


def words_of(query: str) -> tuple[str, ...]:
    """Return the words of a query that are looked for, each once, in the singular."""
    words = [singular(word) for word in _WORD.findall(query.casefold())]
    telling = [word for word in words if word not in NO_NEWS] or words
    return tuple(dict.fromkeys(telling))[:WORDS_MAX]


def needles_of(word: str) -> tuple[str, ...]:
    """Return the texts of which a field with a word contains one, in lower case.

    The second is as URLs have it. A word in ``y`` is found in its plural, too.
    """
    stem = word[:-1] if len(word) > PREFIX_MIN_CHARS and word.endswith("y") else word
    return tuple(dict.fromkeys((stem, quote(stem).lower())))


def singular(word: str) -> str:
    """Return an English plural in the singular, roughly; equal words stay equal."""
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 4 and word.endswith(("xes", "ches", "shes", "sses")):
        return word[:-2]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def match_words(
    words: Sequence[str],
    *,
    tags: Iterable[str],
    url: str,
    metadata: Mapping[str, Any],
    brand: str,
    text: str = "",
) -> Found:
    """Return how far a query's words are among those of an asset; ``text`` is in its picture."""
    fields = {
        Field.TAG: _tokens(tags),
        Field.NAME: _tokens([file_name(url)]),
        Field.TEXT: _tokens([text]),
        Field.METADATA: _tokens(_values(metadata)),
        Field.BRAND: _tokens([brand]),
    }
    shares, where = [], set()
    for word in words:
        best, field = max(
            ((WEIGHTS[field] * _degree(word, tokens), field) for field, tokens in fields.items()),
            key=lambda found: found[0],
        )
        shares.append(best)
        if best > 0:
            where.add(field)
    share = sum(shares) / len(shares) if shares else 0.0
    ordered = tuple(field for field in Field if field in where)
    return Found(share, bool(shares) and min(shares) > 0, ordered)


def file_name(url: str) -> str:
    """Return the last part of a URL's path as a reader has it; empty if there is none."""
    try:
        return unquote(urlsplit(url).path.rpartition("/")[2])
    except ValueError:  # Stored URLs are valid; a name is not worth an error.
        return ""


def _degree(word: str, tokens: frozenset[str]) -> float:
    if word in tokens:
        return 1.0
    if len(word) >= PREFIX_MIN_CHARS and any(token.startswith(word) for token in tokens):
        return PREFIX
    if len(word) >= INNER_MIN_CHARS and any(word in token for token in tokens):
        return INNER
    return 0.0


def _tokens(texts: Iterable[str]) -> frozenset[str]:
    """Return the words of texts in the singular; ``ParisLogo`` has three: also paris and logo."""
    found = set()
    for text in texts:
        for form in (text, _CAMEL.sub(" ", text)):
            found |= {singular(word) for word in _WORD.findall(form.casefold())}
    return frozenset(found)


def _values(metadata: Mapping[str, Any]) -> Iterator[str]:
    """Yield the texts and numbers in metadata, not its names."""
    left: list[Any] = [metadata]
    for _ in range(VALUES_MAX):
        if not left:
            return
        value = left.pop()
        if isinstance(value, Mapping):
            left += value.values()
        elif isinstance(value, list):
            left += value
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            yield str(value)
