"""The port Source: where a brand's URLs come from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from triptych.model import Metadata


@dataclass(frozen=True, slots=True)
class Row:
    """One URL as a source names it: unchecked."""

    url: str
    metadata: Metadata
    place: str = ""
    """Where the source has it, for people: ``line 7``."""
    problem: str = ""
    """Why it is no row that can be acquired, in a sentence. It becomes a failed item."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a source, and where to continue."""

    rows: Sequence[Row]
    cursor: str | None
    """Opaque; pass it to `Source.pages` to continue after this page. None on the last page."""


class Source(Protocol):
    """Where a brand's URLs come from."""

    def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        """Yield the brand's rows page by page, from ``cursor`` or from the beginning.

        Holds at most a page in memory. The same cursor yields the same rows while the source's
        content does not change; a source may repeat rows, but never skip any.

        Raises:
            SourceUnavailable: it did not answer in spite of retries; try again later.
            SourceRefused: it will not serve this brand, or what it serves cannot be read.
        """
        ...
