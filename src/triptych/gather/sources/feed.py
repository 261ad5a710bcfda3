"""The source ``feed``: the pictures of an RSS or Atom feed, Google Merchant's among them.

A paged feed (RFC 5005 §3) is followed by its links ``rel="next"``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import msgspec
from typing_extensions import override
from yarl import URL

from triptych.errors import SourceRefused
from triptych.gather.document_reader import DocumentReader
from triptych.gather.lists.exchange import DocumentKind
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_cursor import read_cursor, write_cursor
from triptych.gather.source_type import SourceContext, SourceType
from triptych.gather.web_place import check_web_place, web_location, web_place
from triptych.shown_url import shown_url

PAGE_MAX_BYTES = 64 * 1024 * 1024
"""Of one page of a feed; Google Merchant's are one page of megabytes."""
PAGES_MAX = 10_000
"""Pages of one feed that are followed."""
ACCEPT = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.5"
NONE_FOUND = "No entry of the feed names a picture."
NONE_REMEDY = (
    "Pictures are read from enclosures, media:content, g:image_link and itunes:image; write page: "
    "before the site's URL to read those of its pages."
)


class _Progress(msgspec.Struct):
    """How far a feed was read: its cursor."""

    page: str = ""
    """The URL of the current page; empty for the first."""
    number: int = 1
    """The current page's, from 1."""
    row: int = 0
    """Rows of it that were passed on."""
    mark: str = ""
    """The page at the last power of two, by Brent's algorithm: in a circle it comes again."""
    found: bool = False
    """Whether there was a picture."""


class FeedSource(Source):
    """Lists the pictures of a feed's entries, in their order, page by page."""

    def __init__(self, url: URL, context: SourceContext) -> None:
        self._url = url
        self._context = context

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        progress = read_cursor(_Progress, cursor)
        async with DocumentReader(
            DocumentKind.FEED, self._url, self._context, accept=ACCEPT
        ) as reader:
            while True:
                url = progress.page or str(self._url)
                document = await reader.read(
                    url, max_bytes=PAGE_MAX_BYTES, midway=progress.number > 1
                )
                rows = [row for record in document.page.records for row in record.rows()]
                progress.found = progress.found or any(row.url for row in rows)
                following = document.page.cursor
                if following is not None and (problem := _end(following, url, progress)):
                    rows.append(Row("", {}, shown_url(following), refused=problem))
                    following = None
                size = self._context.page_rows
                while len(rows) - progress.row > size:
                    part = rows[progress.row : progress.row + size]
                    progress.row += size
                    yield Page(part, write_cursor(progress))
                rest = rows[progress.row :]
                if following is None:
                    if not progress.found:
                        raise SourceRefused(NONE_FOUND, remedy=NONE_REMEDY)
                    yield Page(rest, None)
                    return
                if progress.number & (progress.number - 1) == 0:
                    progress.mark = url
                progress.page, progress.row = following, 0
                progress.number += 1
                yield Page(rest, write_cursor(progress))


def _end(following: str, url: str, progress: _Progress) -> str | None:
    """Return why a feed is not followed further, as a sentence; None if it is."""
    if following in {url, progress.mark}:
        return "The feed's next page is one that was read before: it ends here."
    if progress.number >= PAGES_MAX:
        return f"The feed has more than {PAGES_MAX} pages; the others are not read."
    return None


def _open(place: str, context: SourceContext) -> Source:
    return FeedSource(web_place(place), context)


FEED = SourceType(
    scheme="feed",
    title="A feed",
    description="The pictures of an RSS, Atom or Google Merchant feed, with its further pages.",
    place="URL",
    example="https://example.com/products.rss",
    open=_open,
    check=check_web_place,
    location=web_location,
)
