"""A type of source: its scheme, its description, and how it is checked and opened."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.gather.source import Source
from triptych.gather.source_reach import EVERYWHERE, SourceReach
from triptych.settings.source_text import SOURCE_SCHEME, PlaceKind, parse_place

if TYPE_CHECKING:
    # A type of source is declared without importing what its requests need.
    from triptych.gather.http_reader import HttpReader
    from triptych.uploads.upload_files import UploadFiles


@dataclass(frozen=True, slots=True)
class SourceContext:
    """What a source may use once it is opened."""

    http: HttpReader
    """For requests: guarded, bounded, with the source's own User-Agent, headers and proxy."""
    token: str | None
    """``TRIPTYCH_SOURCE_TOKEN``, if it is for this source; to be sent to the source's own service
    only."""
    page_rows: int
    """Rows that a page should have at most."""
    reach: SourceReach = EVERYWHERE
    """Through which files are opened, and which decides about objects, when they are opened: what
    was checked when the source was named may have changed since."""
    quotes: bool = True
    """Whether an error may quote what is there, such as columns: not to somebody who could not read
    it himself."""
    robots: bool = True
    """Whether robots.txt is kept where a site's pages are read one after the other."""
    opt_outs: bool = True
    """Whether pages that opt out of their use are heeded."""
    uploads: UploadFiles | None = None
    """What was uploaded; None in a process that has no database."""


def any_place(place: str) -> None:
    """Accept every place."""


def is_remote(place: str) -> bool:
    """Return whether a place is an http or https URL, and so nothing of the server's own."""
    return parse_place(place).kind is PlaceKind.WEB


def whole_place(place: str) -> str:
    """Return the place: nothing in it but where the source is."""
    return place


@dataclass(frozen=True, slots=True)
class SourceType:
    """A kind of source, written ``SCHEME:PLACE``; a package offers it as an entry point.

    Raises:
        ValueError: the scheme cannot be used, or the example is not valid for it.
    """

    scheme: str
    """Also the entry point's name: lower-case letters, digits, ``+``, ``.`` and ``-``."""
    title: str
    """A short title for a list of choices."""
    description: str
    """One line: what it is and what it reads."""
    place: str
    """The placeholder in a usage line: ``https://…``, ``PATH_OR_URL``."""
    example: str
    """A place that `check` accepts."""
    open: Callable[[str, SourceContext], Source]
    """Returns the source at a place that `check` accepts. Sends no request yet."""
    check: Callable[[str], None] = any_place
    """Raises `ValueError`, with a whole sentence as its message, for an invalid place."""
    remote: Callable[[str], bool] = is_remote
    """Whether everybody may name the place (its `location`). False for files of the server, for
    objects that it reads with credentials of its own, and for anything else that only its own
    machine may use: these have to be listed (`SourceReach`)."""
    location: Callable[[str], str] = whole_place
    """Returns the URL or path in a place, without options that the source has behind it."""

    def __post_init__(self) -> None:
        if re.fullmatch(SOURCE_SCHEME, self.scheme) is None:
            raise ValueError(
                f"{self.scheme!r} is not a valid scheme: it must match {SOURCE_SCHEME}."
            )
        self.check(self.example)

    @property
    def usage(self) -> str:
        """How it is written: ``manifest:PATH_OR_URL``."""
        return f"{self.scheme}:{self.place}"
