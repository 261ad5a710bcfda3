"""The protocol between a process and its list parsers: framed JSON, never pickles.

A parser's output is trusted as little as its input: it is decoded into strict types, and a frame
has a cap.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from enum import Enum, IntEnum
from types import MappingProxyType
from typing import Annotated, Any

import msgspec
import orjson

from triptych.errors import SourceRefused
from triptych.gather.lists.bounds import (
    LISTS_MAX_BYTES,
    MIB,
    PAGE_MAX_BYTES,
    RECORD_MAX_BYTES,
    RECORD_ROWS_MAX_BYTES,
)
from triptych.gather.source import ListFound, Row
from triptych.runtime.json_values import DEPTH_MAX

HEAD = struct.Struct(">BI")
"""A `Kind`, and the length of the payload, which follows."""
BODY = struct.Struct(">I")
"""Length of a request or of a catalogue page, which follows."""
PAGE_RECORDS_MAX = 10_000
CURSOR_MAX_CHARS, CURSOR = 4096, r"^[^\x00]*$"
"""How long a catalogue's cursor may be, and what is in it."""
URL_SHOWN_CHARS, PLACE_MAX_CHARS = 2000, 500
"""How much is kept of a record that is too large."""
NO_METADATA: Mapping[str, Any] = MappingProxyType({})


class Kind(IntEnum):
    """What a parser says."""

    GREETING = 0
    """What its sandbox lacks, in words: first of all."""
    PART = 1
    """It needs the descriptor of a part, whose number is the payload."""
    PAGE = 2
    """A `ListPage`."""
    REFUSED = 3
    """A `Refusal`: there is no more of this list."""
    DOUBTED = 4
    """A `Refusal` of a catalogue's page, which may be another next time."""


FRAME_MAX_BYTES: Mapping[Kind, int] = MappingProxyType(
    {
        Kind.GREETING: MIB,
        Kind.PART: 20,
        Kind.PAGE: PAGE_MAX_BYTES + 2 * RECORD_MAX_BYTES + LISTS_MAX_BYTES,
        Kind.REFUSED: MIB,
        Kind.DOUBTED: MIB,
    }
)
"""The longest payload that is read of each kind."""


class DocumentKind(Enum):
    """What is read in a page, by the source that asked for it."""

    SITEMAP = "sitemap"
    FEED = "feed"
    SHOP = "shop"
    WEB_PAGE = "page"


class DocumentHead(msgspec.Struct, frozen=True):
    """What is known of a document before it is read; it goes before the body."""

    url: str
    """Where it came from, after redirects: what is relative in it is relative to this."""
    content_type: str = ""
    """As its server declares it; never trusted."""
    opt_outs: bool = True
    """Whether a web page that opts out of its use is heeded."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a parser is to read, and within which limits."""

    parts: list[str] | None
    """Names of a list's parts; None: pages of a service or a site, which follow one by one."""
    documents: DocumentKind | None = None
    """What these pages are; None: a catalogue's."""
    brand: str = ""
    urls: list[str] = []
    brand_column: str | None = None
    key: str | None = None
    """The columns that someone chose: see `ColumnChoice`."""
    quotes: bool = True
    """Whether errors may quote the list."""
    samples: bool = False
    """Whether to show values of each column, also where no column holds URLs."""
    offset: int = 0
    """Records to pass over."""
    page_rows: int = 1
    """Records of a page."""
    memory_max_bytes: int
    """Address space of the parser."""
    step_cpu_s: int
    """CPU time for which it may go without reading on."""


class ListRecord(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A record of a list, as far as it is the brand's: several rows, one, or none."""

    place: str
    urls: list[str] = []
    metadata: list[dict[str, Any]] = []
    """Those of each row that a URL stands for."""
    identity: str | None = None
    """By what its rows are known; None: their URLs."""
    problem: str = ""
    refused: str = ""
    paired: bool = False
    """Whether the metadata are those of each URL, in the same order, instead of each row's."""

    def rows(self, ignored: frozenset[str] = frozenset()) -> Sequence[Row]:
        """Return the record's rows: see `Row`, also for ``ignored``."""
        if self.problem or self.refused:
            values = self.metadata[0] if self.metadata else {}
            url = self.urls[0] if self.urls else ""
            return [Row(url, values, self.place, problem=self.problem, refused=self.refused)]
        if self.paired:
            return [
                Row(url, each, self.place, ignored=ignored)
                for url, each in zip(self.urls, self.metadata, strict=True)
            ]
        if self.identity is None:
            return [
                Row(url, each, self.place, ignored=ignored)
                for url in self.urls
                for each in self.metadata
            ]
        return [
            Row(url, each, self.place, identity=_numbered(self.identity, number))
            for number, url in enumerate(self.urls)
            for each in self.metadata
        ]


def _numbered(identity: str, number: int) -> str:
    return f"{identity}\n{number}" if number else identity


class Refusal(msgspec.Struct, frozen=True):
    """Why a list, or a page of a catalogue, cannot be read."""

    message: str
    remedy: str | None = None
    at_once: bool = True


class ListPage(msgspec.Struct, frozen=True):
    """A page of a list, or a part of a page of a catalogue."""

    records: list[ListRecord | str]
    """A text is the JSON of a record that only Python's parser reads: with a number that is none,
    for instance."""
    last: bool
    lists: list[ListFound] = []
    brands: list[str] = []
    cursor: Annotated[str, msgspec.Meta(max_length=CURSOR_MAX_CHARS, pattern=CURSOR)] | None = None
    """Of a catalogue or a feed: where its list goes on."""
    links: list[str] = []
    """Of a web page: where it leads."""
    is_index: bool = False
    """Of a sitemap: its records are further sitemaps."""


def read_records(page: ListPage) -> Sequence[ListRecord]:
    """Return a page's records.

    Raises:
        ValueError: it has too many, or one is none; or it has none and is not the last.
    """
    if not page.records and not page.last:
        raise ValueError("a page without records in the middle")
    if len(page.records) > PAGE_RECORDS_MAX:
        raise ValueError(f"{len(page.records)} records")
    return [_read(each) if isinstance(each, str) else each for each in page.records]


def _read(text: str) -> ListRecord:
    try:
        return msgspec.convert(json.loads(text), ListRecord)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def framed(kind: Kind, content: bytes) -> bytes:
    """Return a frame."""
    return HEAD.pack(kind, len(content)) + content


class PageWriter:
    """Collects the records of a page until it has enough of them."""

    def __init__(self, rows: int) -> None:
        """Begin a page of at most ``rows`` records."""
        self._rows = min(rows, PAGE_RECORDS_MAX)
        self._records: list[bytes] = []
        self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether the page has as many records, or bytes, as it may."""
        return len(self._records) >= self._rows or self._bytes >= PAGE_MAX_BYTES

    def add(self, record: ListRecord) -> None:
        """Add a record; of one that is too large, its place, its first URL, and that it is."""
        text, size = _encoded(record)
        told = ""
        if size > RECORD_MAX_BYTES:
            told = f"It has {size} bytes; a record may have {RECORD_MAX_BYTES}."
        elif (copies := _copies(record) * size) > RECORD_ROWS_MAX_BYTES:
            told = (
                f"Its {len(record.urls)} URLs have {copies} bytes of metadata; "
                f"a record's may have {RECORD_ROWS_MAX_BYTES}."
            )
        if told:
            shown = [url[:URL_SHOWN_CHARS] for url in record.urls[:1]]
            text, size = _encoded(ListRecord(record.place[:PLACE_MAX_CHARS], shown, problem=told))
        self._records.append(text)
        self._bytes += size * max(1, 0 if told else _copies(record))

    def frame(
        self,
        *,
        last: bool,
        lists: Sequence[ListFound] = (),
        brands: Sequence[str] = (),
        cursor: str | None = None,
        links: Sequence[str] = (),
        is_index: bool = False,
    ) -> bytes:
        """Return the page as a frame; begin the next one.

        Raises:
            SourceRefused: what its lists are takes too many bytes to be told.
        """
        found = msgspec.json.encode(lists)
        if len(found) > LISTS_MAX_BYTES:
            raise SourceRefused(
                f"Its {len(lists)} files have too many columns in all: their names take "
                f"{len(found)} bytes of {LISTS_MAX_BYTES}.",
                remedy="Give fewer files at once.",
            )
        told = b'"last":%s,"lists":%b,"brands":%b,"cursor":%b,"links":%b,"is_index":%s' % (
            b"true" if last else b"false",
            found,
            orjson.dumps([_plain(brand) for brand in brands]),
            orjson.dumps(None if cursor is None else _plain(cursor)),
            orjson.dumps([_plain(link) for link in links]),
            b"true" if is_index else b"false",
        )
        content = b'{"records":[%b],%b}' % (b",".join(self._records), told)
        self._records, self._bytes = [], 0
        return framed(Kind.PAGE, content)


def _copies(record: ListRecord) -> int:
    """Return how often a record's metadata are in its rows."""
    return 1 if record.paired else len(record.urls)


def _encoded(record: ListRecord) -> tuple[bytes, int]:
    """Return a record as JSON, and its size in bytes."""
    fields = [
        record.place,
        record.urls,
        record.metadata,
        record.identity,
        record.problem,
        record.refused,
        *([True] if record.paired else []),
    ]
    try:
        text = orjson.dumps(fields)
    except (TypeError, ValueError, RecursionError):
        # Lone surrogates, large numbers, deep nesting: the process that asked refuses the item.
        text = orjson.dumps(json.dumps(_cut(fields, DEPTH_MAX)))
    return text, len(text)


def _cut(value: Any, levels: int) -> Any:
    """Return a value without what is nested deeper, which is refused for what is left of it."""
    if isinstance(value, Mapping):
        return {str(key): _cut(each, levels - 1) for key, each in value.items()} if levels else {}
    if isinstance(value, list | tuple):
        return [_cut(each, levels - 1) for each in value] if levels else []
    return value


def _plain(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
