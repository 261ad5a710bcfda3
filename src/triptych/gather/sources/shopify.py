"""The source ``shopify``: the pictures of a shop's products, from its public products feed.

``https://SHOP/products.json?limit=250&page=N`` answers without a key, unless the shop is closed.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import aiohttp
import msgspec
from typing_extensions import override
from yarl import URL

from triptych.errors import SourceRefused
from triptych.fetch.web_url import with_query
from triptych.gather.document_reader import Document, DocumentReader
from triptych.gather.http_reader import DoubtfulAnswer, LeadsAway
from triptych.gather.lists.exchange import DocumentKind
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_cursor import read_cursor, write_cursor
from triptych.gather.source_type import SourceContext, SourceType
from triptych.gather.web_place import web_location, web_place

PRODUCTS_PER_PAGE = 250
"""The most that Shopify answers."""
PAGES_MAX = 1_000
"""A quarter of a million products; Shopify itself answers fewer."""
PAGE_MAX_BYTES = 32 * 1024 * 1024
IGNORED = frozenset({"v"})
"""A picture's version in its URL: with another one it is still the same picture of the product."""
CLOSED_PAGE = "password"
"""The page to which a shop that is not open sends its visitors."""
CLOSED = "The shop is closed: it asks its visitors for a password."
OPEN_IT = "Open the shop (Online Store, Preferences), or export its products as CSV: manifest:."
EXPORT = "Export the products as CSV in the shop's admin, and give that: manifest:products.csv."
TOO_FAR = 400
"""How Shopify answers a page behind the last that it serves."""
STATUSES = {
    401: ("The shop asks for a login (HTTP 401).", EXPORT),
    402: ("The shop is frozen (HTTP 402).", EXPORT),
    403: ("The shop refuses the products feed (HTTP 403).", EXPORT),
    404: (
        "There is no products feed at this address (HTTP 404).",
        "Check that it is a Shopify shop; some close this feed. " + EXPORT,
    ),
}


class _Progress(msgspec.Struct):
    """How far a shop was read: its cursor."""

    page: int = 1
    row: int = 0
    """Rows of it that were passed on."""
    before: str = ""
    """A digest of the page before: a shop that ignores the number answers the same for ever."""


class ShopifySource(Source):
    """Lists each picture of each product, in the shop's order, up to the first empty page."""

    def __init__(self, shop: URL, context: SourceContext) -> None:
        self._feed = shop.origin() / "products.json"
        self._context = context

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        progress = read_cursor(_Progress, cursor)
        async with DocumentReader(
            DocumentKind.SHOP, self._feed, self._context, accept="application/json"
        ) as reader:
            while True:
                document = await self._products(reader, progress.page)
                if document is None:
                    reason = "Shopify answers no further products (HTTP 400): there may be more."
                    yield Page([Row("", {}, f"page {progress.page}", refused=reason)], None)
                    return
                if not document.page.records:
                    yield Page([], None)
                    return
                rows = self._rows(document)
                digest = _digest(rows)
                if digest == progress.before:
                    raise SourceRefused(
                        f"The shop answers page {progress.page} with the products of the page "
                        "before.",
                        remedy="Check that it is a Shopify shop.",
                    )
                last = progress.page >= PAGES_MAX
                if last:
                    reason = f"Of a shop, {PAGES_MAX} pages are read: there may be more products."
                    rows = [*rows, Row("", {}, f"page {progress.page}", refused=reason)]
                size = self._context.page_rows
                while len(rows) - progress.row > size:
                    part = rows[progress.row : progress.row + size]
                    progress.row += size
                    yield Page(part, write_cursor(progress))
                rest = rows[progress.row :]
                progress = _Progress(progress.page + 1, 0, digest)
                yield Page(rest, None if last else write_cursor(progress))
                if last:
                    return

    async def _products(self, reader: DocumentReader, number: int) -> Document | None:
        """Return a page of products; None if Shopify does not answer so far into a long list."""
        query = {"limit": str(PRODUCTS_PER_PAGE), "page": str(number)}
        try:
            return await reader.read(
                with_query(self._feed, query),
                max_bytes=PAGE_MAX_BYTES,
                midway=number > 1,
                follow=_is_open,
                check=_check_answer,
            )
        except LeadsAway as error:
            raise SourceRefused(CLOSED, remedy=OPEN_IT) from error
        except SourceRefused as error:
            status = _status(error)
            if status == TOO_FAR and number > 1:
                return None
            if status not in STATUSES:
                raise
            message, remedy = STATUSES[status]
            raise SourceRefused(message, remedy=remedy) from error

    def _rows(self, document: Document) -> list[Row]:
        return [row for record in document.page.records for row in record.rows(IGNORED)]


def _status(error: SourceRefused) -> int:
    """Return the HTTP status that was refused, at once or after retries; 0 if it is none."""
    for each in (error, error.__cause__):
        if isinstance(each, DoubtfulAnswer):
            return each.answered or 0
    return 0


def _is_open(target: URL) -> bool:
    """Follow a redirect, from a shop's old name to its own for instance; not to the password."""
    return target.raw_path.strip("/").rpartition("/")[2] != CLOSED_PAGE


def _check_answer(response: aiohttp.ClientResponse) -> None:
    if response.content_type == "text/html":
        raise SourceRefused(
            "The shop answers with a web page in place of its products.",
            remedy="Check that it is a Shopify shop, and open. " + EXPORT,
        )


def _digest(rows: list[Row]) -> str:
    text = "\n".join(f"{row.place} {row.url}" for row in rows)
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=16).hexdigest()


def _check(place: str) -> None:
    url = web_place(place)
    if url.raw_path not in {"", "/"} or url.raw_query_string:
        raise ValueError(
            f"A shop is named by its host alone: {url.raw_host}. To read a collection, export it."
        )


def _open(place: str, context: SourceContext) -> Source:
    return ShopifySource(web_place(place), context)


SHOPIFY = SourceType(
    scheme="shopify",
    title="A Shopify shop",
    description="Every picture of every product, from the shop's public products feed.",
    place="SHOP",
    example="shop.example.com",
    open=_open,
    check=_check,
    location=web_location,
)
