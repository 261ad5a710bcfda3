"""What a list consists of: its records, and the places that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, Protocol

from triptych.errors import SourceRefused
from triptych.gather.lists.bounds import COLUMNS_MAX

NAMES_SHOWN = 200
"""Characters of columns' names that an error shows."""


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
OpenFile = Callable[[], IO[bytes]]
"""Opens a file from its beginning; it can be sought."""


def check_columns(names: Sequence[str]) -> None:
    """Check how many columns a list has.

    Raises:
        SourceRefused: too many.
    """
    if len(names) > COLUMNS_MAX:
        raise SourceRefused(
            f"It has {len(names)} columns; {COLUMNS_MAX} are read.",
            remedy="Leave out the columns that are not needed.",
        )


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
