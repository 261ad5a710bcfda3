"""Which parser reads a page of a service or a site. Runs in a list parser's process."""

from __future__ import annotations

from collections.abc import Callable

from triptych.gather.lists.catalog_page import DocumentPage, parse_page
from triptych.gather.lists.exchange import DocumentHead, DocumentKind

ParseDocument = Callable[[DocumentHead, bytes | bytearray], DocumentPage]
"""Parses a body; raises `Doubted` for one that cannot be right."""


def parser_of(kind: DocumentKind | None) -> ParseDocument:
    """Return what parses pages of a kind; None stands for a catalogue's.

    Each is imported only where it is needed: a parser starts for each source that is read.
    """
    if kind is None:
        return lambda _, body: parse_page(body)
    if kind is DocumentKind.SITEMAP:
        from triptych.gather.documents.sitemap_page import parse_sitemap

        return parse_sitemap
    if kind is DocumentKind.FEED:
        from triptych.gather.documents.feed_page import parse_feed

        return parse_feed
    if kind is DocumentKind.SHOP:
        from triptych.gather.documents.shop_page import parse_shop

        return parse_shop
    from triptych.gather.documents.web_page import parse_web_page

    return parse_web_page
