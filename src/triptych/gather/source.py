"""The port Source: where a brand's URLs come from."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol, runtime_checkable

import msgspec
from msgspec import Meta

from triptych.model import Metadata
from triptych.wire import Wire


@dataclass(frozen=True, slots=True)
class Row:
    """One URL as a source names it: unchecked."""

    url: str
    metadata: Metadata
    place: str = ""
    """Where the source has it, for people: ``line 7``."""
    problem: str = ""
    """Why it is no row that can be acquired, in a sentence. It becomes a failed item."""
    identity: str | None = None
    """What makes it the same asset in each run: a value such as a SKU. None: its URL does."""
    ignored: frozenset[str] = frozenset()
    """Parameters of the URL's query that are no part of its identity, such as a signature's."""
    refused: str = ""
    """Why it is no item, in a sentence: it names no URL. It is counted as refused."""


class ListFound(Wire, frozen=True):
    """What a file was found to be."""

    name: str
    format: Annotated[str, Meta(description="`CSV`, `Excel workbook`, …")]
    encoding: str | None
    delimiter: Annotated[str | None, Meta(description="In words: `comma`, `tab`.")]
    columns: Annotated[list[str] | None, Meta(description="Null if each record has its own.")]
    url_columns: Annotated[list[str], Meta(description="Where URLs are read from.")]
    brand_column: str | None
    notes: Annotated[list[str], Meta(description="What was guessed or passed over.")]
    key_column: Annotated[
        str | None, Meta(description="By which rows are known, if one was chosen.")
    ] = None
    samples: Annotated[
        dict[str, list[str]],
        Meta(description="Of a check that asks for it: some values of each of the first columns."),
    ] = msgspec.field(default_factory=dict)
    problem: Annotated[
        str | None,
        Meta(
            description="Of a check that asks for samples: why a run would refuse the file, none "
            "of whose columns holds URLs."
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a source, and where to continue."""

    rows: Sequence[Row]
    cursor: str | None
    """Opaque; pass it to `Source.pages` to continue after this page. None on the last page."""
    lists: Sequence[ListFound] = ()
    """On a first page: what the source's files were found to be, if it has files."""
    brands: Sequence[str] = ()
    """Some names that the page has in its column of brands."""


@runtime_checkable
class Sampled(Protocol):
    """A source that can also show what its columns hold."""

    def sampled(self) -> Source:
        """Return the same source, whose lists come with samples of their columns.

        It does not refuse a file for having no column of URLs: `ListFound.problem` says so instead.
        """
        ...


class Source(Protocol):
    """Where a brand's URLs come from."""

    def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        """Yield the brand's rows page by page, from ``cursor`` or from the beginning.

        An empty name stands for all brands. A source that cannot list them refuses it.

        Holds at most a page in memory. The same cursor yields the same rows while the source's
        content does not change; a source may repeat rows, but never skip any.

        Raises:
            SourceUnavailable: it did not answer in spite of retries; try again later.
            SourceRefused: it will not serve this brand, or what it serves cannot be read.
        """
        ...
