"""A page of a feed: RSS, Atom or Google Merchant. Runs in a list parser's process."""

from __future__ import annotations

import io

from triptych.errors import SourceRefused
from triptych.gather.documents.relative_url import is_inline, resolved
from triptych.gather.documents.xml_document import doubted_xml, xml_content
from triptych.gather.lists.bounds import ITEMS_MAX
from triptych.gather.lists.catalog_page import DocumentPage, Doubted
from triptych.gather.lists.exchange import CURSOR_MAX_CHARS, DocumentHead, ListRecord
from triptych.gather.lists.xml_feed import IMAGE, XmlFeedReader, xml_root

FEEDS = frozenset({"rss", "RDF", "feed", "channel"})
NO_PICTURE = "The entry names no picture: no enclosure, media:content or g:image_link of one."


def parse_feed(head: DocumentHead, body: bytes | bytearray) -> DocumentPage:
    """Parse a page of a feed; its cursor is the URL of the next page (RFC 5005 §3), if it has one.

    Raises:
        Doubted: it is no feed, has too many entries, or cannot be read.
    """
    content = xml_content(body, "a feed")
    records: list[ListRecord] = []
    try:
        root = xml_root(lambda: io.BytesIO(content))
        if root not in FEEDS:
            raise _no_feed(root)
        reader = XmlFeedReader(lambda: io.BytesIO(content))
        for record in reader.records(0):
            # A problem has no values, and comes from none of these readers.
            values = dict(getattr(record, "values", {}))
            records.append(_record(record.place, values, resolved(reader.base, head.url)))
            if len(records) > ITEMS_MAX:
                raise SourceRefused(
                    f"A page of the feed has more than {ITEMS_MAX} entries.",
                    remedy='Split it into pages with a link rel="next".',
                )
        following = reader.next and resolved(reader.next, resolved(reader.base, head.url))
    except SourceRefused as error:
        raise doubted_xml(content, error) from error
    if following and len(following) > CURSOR_MAX_CHARS:
        raise Doubted(
            f"The URL of its next page has {len(following)} characters; {CURSOR_MAX_CHARS} "
            "are followed.",
            "Shorten it.",
            at_once=True,
        )
    return DocumentPage(records, following or None)


def _no_feed(root: str) -> SourceRefused:
    if root in {"urlset", "sitemapindex"}:
        return SourceRefused("It is a sitemap, no feed.", remedy="Write sitemap: before its URL.")
    return SourceRefused("It is XML, but no RSS or Atom feed.", remedy="Give the feed's own URL.")


def _record(place: str, values: dict[str, object], base: str) -> ListRecord:
    found = values.pop(IMAGE)
    pictures = [resolved(url, base) for url in found] if isinstance(found, list) else []
    urls = [url for url in dict.fromkeys(pictures) if not is_inline(url)]
    if not urls:
        return ListRecord(place, metadata=[values], refused=NO_PICTURE)
    return ListRecord(place, urls, [values])
