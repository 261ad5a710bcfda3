"""What a list consists of: its records, and the places that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from triptych.errors import SourceRefused

BYTES_MAX = 16 * 1024**3
"""A longer list is refused, compressed or not; it can be split."""
TEXT_MAX_BYTES = 1024 * 1024
"""A longer line of JSON or field of CSV is a bad record."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, as it is in the list."""

    place: str
    """Where it is, for people: ``line 7``."""
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A place that is no record; the records after it are read."""

    place: str
    problem: str
    """A sentence: what is wrong and, where it is known, the remedy."""


@dataclass(frozen=True, slots=True)
class ListFormat:
    """What a list was found to be."""

    name: str
    """``CSV``, ``Excel workbook``, …"""
    columns: Sequence[str] | None
    """Names of its columns; None if each record has its own."""
    encoding: str | None = None
    delimiter: str | None = None
    notes: Sequence[str] = ()
    """What was guessed or passed over, in sentences."""


IsUsable = Callable[[Sequence[str]], bool]
"""Tells whether some of these columns hold URLs."""
NAMES_SHOWN = 200


def no_urls(names: Sequence[str]) -> SourceRefused:
    """Return the error for a list none of whose columns holds URLs; no names are not quoted."""
    return SourceRefused(
        "No column holds URLs.",
        remedy="Call the column url, or choose one with #url-column=NAME behind the place.",
        quoted=f"Its columns are: {', '.join(names)[:NAMES_SHOWN]}." if names else "",
    )


class ListReader(Protocol):
    """A list whose format is known."""

    @property
    def format(self) -> ListFormat:
        """What the list was found to be."""
        ...

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """Yield the records after the first ``offset``; blocks. Holds a bounded part in memory.

        Raises:
            SourceRefused: the rest cannot be read.
        """
        ...
