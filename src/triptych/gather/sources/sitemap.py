"""The source ``sitemap``: the pictures that a site's sitemaps name (``image:loc``).

The place is a sitemap, an index of sitemaps, or a site, whose robots.txt names its sitemaps
(https://www.sitemaps.org/protocol.html#submit_robots). Sitemaps of pages without pictures are
refused: the source ``page`` reads pages.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import msgspec
from typing_extensions import override
from yarl import URL

from triptych.errors import SourceRefused
from triptych.fetch.robots import ROBOTS_MAX_BYTES
from triptych.gather.document_reader import Document, DocumentReader
from triptych.gather.lists.exchange import DocumentKind
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_cursor import read_cursor, write_cursor
from triptych.gather.source_type import SourceContext, SourceType
from triptych.gather.web_place import check_web_place, web_location, web_place
from triptych.shown_url import shown_url

SITEMAP_MAX_BYTES = 50 * 1024 * 1024
"""Of one sitemap, as it is sent; the most that the protocol allows."""
SITEMAPS_MAX = 10_000
"""Sitemaps and indexes that are read of one source."""
TOTAL_MAX_BYTES = 8 * 1024**3
"""Of all of them together, as they are sent."""
LEVELS_MAX = 4
"""A site's list of sitemaps, an index, indexes in it, and their sitemaps."""
ACCEPT = "application/xml, text/xml;q=0.9, */*;q=0.5"
NONE_FOUND = "No picture is named in the sitemap."
NONE_REMEDY = (
    "Write page: before the site's URL, which reads the pictures of its pages; or manifest: before "
    "this one, if its locations are the pictures."
)
_NAMED = re.compile(r"^[ \t]*sitemap[ \t]*:[ \t]*(\S+)", re.IGNORECASE | re.MULTILINE)


class _Progress(msgspec.Struct):
    """How far a source was read: its cursor."""

    path: list[int] = msgspec.field(default_factory=lambda: [0])
    """The position in the list of sitemaps, in the index at that position, and so on."""
    entry: int = 0
    """Rows of the current sitemap that were passed on."""
    found: bool = False
    """Whether there was a picture."""
    files: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Level:
    """The sitemaps of an index, and where in it the reading is."""

    sitemaps: Sequence[str]
    at: int = 0


class SitemapSource(Source):
    """Lists the pictures of sitemaps in their order; of an index, one sitemap after the other.

    A sitemap that an index names and that cannot be read is a refused row. A cursor is the position
    in the tree of indexes, so that after a crash the indexes on the way are read again, and no
    sitemap before it.
    """

    def __init__(self, url: URL, context: SourceContext) -> None:
        self._url = url
        self._context = context
        self._problem = ""
        """Why the last sitemap that was not read was not."""

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        progress = read_cursor(_Progress, cursor)
        async with DocumentReader(
            DocumentKind.SITEMAP, self._url, self._context, accept=ACCEPT
        ) as reader:
            levels = await self._resumed(reader, progress)
            while True:
                rows = await self._next(reader, levels, progress)
                for page in self._cut(rows, levels, progress):
                    yield page
                if not levels:
                    return

    def _cut(
        self, rows: Sequence[Row], levels: list[_Level], progress: _Progress
    ) -> Sequence[Page]:
        """Return rows as pages; the cursor of the last leads to the next sitemap."""
        size = self._context.page_rows
        pages = []
        here = progress.entry
        for start in range(0, len(rows) - size, size):
            progress.entry = here + start + size
            pages.append(Page(rows[start : start + size], write_cursor(progress)))
        progress.entry = 0
        rest = rows[len(pages) * size :]
        _advance(levels)
        progress.path = [level.at for level in levels]
        if not levels and not progress.found:
            raise SourceRefused(f"{NONE_FOUND} {self._problem}".strip(), remedy=NONE_REMEDY)
        return [*pages, Page(rest, write_cursor(progress) if levels else None)]

    async def _resumed(self, reader: DocumentReader, progress: _Progress) -> list[_Level]:
        """Return the levels down to where the reading goes on."""
        levels = [_Level(await self._roots(), progress.path[0] if progress.path else 0)]
        for at in progress.path[1:]:
            index = await reader.read(_current(levels), max_bytes=SITEMAP_MAX_BYTES, midway=True)
            levels.append(_Level(_listed(index), at))
        for level in levels:
            if level.at >= len(level.sitemaps):
                raise SourceRefused(
                    "The index of sitemaps has become shorter while it was read.",
                    remedy="Start the run again.",
                )
        return levels

    async def _roots(self) -> Sequence[str]:
        """Return the sitemaps to begin with: of a site without a path, those of its robots.txt."""
        if self._url.raw_path not in {"", "/"} or self._url.raw_query_string:
            return [str(self._url)]
        origin = self._url.origin()
        try:
            body = await self._context.http.read(origin / "robots.txt", max_bytes=ROBOTS_MAX_BYTES)
        except SourceRefused:
            body = b""  # It has none, which is no reason to have no sitemap.
        named = _NAMED.findall(body.decode("utf-8-sig", "replace"))
        return list(dict.fromkeys(named)) or [str(origin / "sitemap.xml")]

    async def _next(
        self, reader: DocumentReader, levels: list[_Level], progress: _Progress
    ) -> Sequence[Row]:
        """Return the rows of the current sitemap; of an index none, and its sitemaps are next."""
        url = _current(levels)
        alone = len(levels) == 1 and len(levels[0].sitemaps) == 1
        again = progress.entry > 0
        """Whether it was counted before, and only the rest of it is passed on."""
        if not again and (limit := _limit(progress)) is not None:
            left = sum(len(level.sitemaps) - level.at - 1 for level in levels) + 1
            for level in levels:
                level.at = len(level.sitemaps) - 1
            return self._refused(url, f"{limit} {left} sitemaps were not read.")
        if url in {level.sitemaps[level.at] for level in levels[:-1]}:
            return self._refused(url, "The index of sitemaps names itself.")
        progress.files += not again
        try:
            document = await reader.read(url, max_bytes=SITEMAP_MAX_BYTES)
        except SourceRefused as error:
            if alone:
                raise
            return self._refused(url, f"The sitemap is not read: {error}")
        progress.bytes += 0 if again else document.size
        if not document.page.is_index:
            return self._rows(document, progress)
        inner = _listed(document)
        if len(levels) >= LEVELS_MAX:
            reason = f"An index in {LEVELS_MAX} levels is not read; it names {len(inner)} sitemaps."
            return self._refused(url, reason)
        if not inner:
            return self._refused(url, "The index names no sitemap.")
        levels.append(_Level(inner, -1))
        return []

    def _refused(self, url: str, why: str) -> Sequence[Row]:
        self._problem = why
        return [Row("", {}, shown_url(url), refused=why)]

    def _rows(self, document: Document, progress: _Progress) -> Sequence[Row]:
        rows = [row for record in document.page.records for row in record.rows()]
        progress.found = progress.found or any(row.url and not row.problem for row in rows)
        return rows[progress.entry :]


def _limit(progress: _Progress) -> str | None:
    """Return which limit is reached, as a sentence."""
    if progress.files >= SITEMAPS_MAX:
        return f"A source is read up to {SITEMAPS_MAX} sitemaps."
    if progress.bytes >= TOTAL_MAX_BYTES:
        return f"A source is read up to {TOTAL_MAX_BYTES} bytes of sitemaps."
    return None


def _current(levels: Sequence[_Level]) -> str:
    return levels[-1].sitemaps[levels[-1].at]


def _listed(index: Document) -> Sequence[str]:
    return [url for record in index.page.records for url in record.urls]


def _advance(levels: list[_Level]) -> None:
    """Move on to the next sitemap; leave no level when there is none."""
    while levels:
        levels[-1].at += 1
        if levels[-1].at < len(levels[-1].sitemaps):
            return
        levels.pop()


def _open(place: str, context: SourceContext) -> Source:
    return SitemapSource(web_place(place), context)


SITEMAP = SourceType(
    scheme="sitemap",
    title="A sitemap",
    description="The pictures that a site's sitemap names, or the sitemaps of its index or its "
    "robots.txt.",
    place="URL",
    example="https://example.com/sitemap.xml",
    open=_open,
    check=check_web_place,
    location=web_location,
)
