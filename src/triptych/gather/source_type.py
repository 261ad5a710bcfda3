"""What a source is known by: its scheme, what it tells people, and how it is checked and opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.gather.source import Source
from triptych.settings.addresses import SOURCE_SCHEME

if TYPE_CHECKING:
    # A type of source is declared without what its requests need.
    from triptych.gather.http_reader import HttpReader

REMOTE_PLACES = ("http://", "https://", "s3://")


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source may use when it is opened."""

    http: HttpReader
    """For requests: guarded, bounded, with the source's own User-Agent, headers and proxy."""
    token: str | None
    """``TRIPTYCH_SOURCE_TOKEN``; goes to the source's own service only."""
    page_rows: int
    """Rows that a page should have at most."""


def any_place(place: str) -> None:
    """Accept every place."""


def is_remote(place: str) -> bool:
    """Tell whether a place is a URL of http, https or s3, and so no file of the server's."""
    return place.lower().startswith(REMOTE_PLACES)


@dataclass(frozen=True, slots=True)
class SourceType:
    """A kind of source, written ``SCHEME:PLACE``; a package offers it as an entry point.

    Raises:
        ValueError: the scheme cannot be used, or the example is no place of it.
    """

    scheme: str
    """Also the entry point's name: lower-case letters, digits, ``+``, ``.`` and ``-``."""
    title: str
    """A few words, to pick it by."""
    description: str
    """One line: what it is and what it reads."""
    place: str
    """What stands for the place in a usage line: ``https://…``, ``PATH_OR_URL``."""
    example: str
    """A place that `check` accepts."""
    open: Callable[[str, SourceContext], Source]
    """Returns the source at a place that `check` accepts. Asks nothing of it yet."""
    check: Callable[[str], None] = any_place
    """Raises `ValueError`, with a whole sentence for its message, for what is no place of it."""
    remote: Callable[[str], bool] = is_remote
    """Whether callers on other machines may name the place. False for what is a file of the
    server's, or anything else that only its own machine should reach."""

    def __post_init__(self) -> None:
        if re.fullmatch(SOURCE_SCHEME, self.scheme) is None:
            message = f"{self.scheme!r} is no scheme: it must match {SOURCE_SCHEME}."
            raise ValueError(message)
        self.check(self.example)

    @property
    def usage(self) -> str:
        """How it is written: ``manifest:PATH_OR_URL``."""
        return f"{self.scheme}:{self.place}"
