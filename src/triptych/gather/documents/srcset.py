"""The candidates of ``srcset`` (HTML Standard §4.8.4.3.11), and the largest of them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CANDIDATES_MAX = 200
"""Of one element; more of them are the same picture in yet another size."""
_BEFORE = re.compile(r"[\s,]*")
_URL = re.compile(r"\S+")
_DESCRIPTORS = re.compile(r"(?:\([^)]*\)?|[^,(])*")
"""Up to a comma that is in no parentheses."""
_DESCRIPTOR = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([wx])")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of the files that an element offers for a picture."""

    url: str
    width: float = 0.0
    """Pixels, by its ``w``; 0 if it has none."""
    density: float = 1.0


def candidates(srcset: str) -> Iterator[Candidate]:
    """Yield what a ``srcset`` offers, in order, at most `CANDIDATES_MAX`; never raises."""
    at = 0
    for _ in range(CANDIDATES_MAX):
        at = _end(_BEFORE, srcset, at)
        found = _URL.match(srcset, at)
        if found is None:
            return
        at, text = found.end(), found[0]
        if text.endswith(","):
            yield Candidate(text.rstrip(","))
            continue
        end = _end(_DESCRIPTORS, srcset, at)
        yield _described(text, srcset[at:end])
        at = end


def largest(offered: Iterable[Candidate]) -> Candidate | None:
    """Return the widest candidate, or the densest if none says its width; the first of equals."""
    return max(offered, key=lambda one: (one.width, one.density), default=None)


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return found.end() if found else at


def _described(url: str, descriptors: str) -> Candidate:
    width, density = 0.0, 1.0
    for word in descriptors.split():
        found = _DESCRIPTOR.fullmatch(word)
        if found is None:
            continue
        value = float(found[1])
        if not math.isfinite(value):
            continue
        if found[2] == "w":
            width = value
        else:
            density = value
    return Candidate(url, width, density)
