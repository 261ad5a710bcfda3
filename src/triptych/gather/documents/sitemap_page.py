"""A sitemap with pictures, or an index of sitemaps. Runs in a list parser's process.

https://www.sitemaps.org/protocol.html,
https://developers.google.com/search/docs/crawling-indexing/sitemaps/image-sitemaps
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from triptych.errors import SourceRefused
from triptych.gather.documents.picture_records import in_records
from triptych.gather.documents.relative_url import resolved
from triptych.gather.documents.xml_document import doubted_xml, xml_content
from triptych.gather.lists.catalog_page import DocumentPage, Doubted
from triptych.gather.lists.exchange import DocumentHead, ListRecord
from triptych.gather.lists.xml_feed import XmlFeedReader, xml_root

ENTRIES_MAX = 50_000
"""Of one sitemap, and of one index: the most that the protocol allows."""
PICTURES_MAX = 1_000
"""Of one page: the most that Google reads."""
NO_PICTURE = "The sitemap names no picture (image:loc) of this page."
TEXTS = ("title", "caption", "geo_location", "license")
"""What an image element may say of its picture."""
OF_PAGE = ("lastmod", "changefreq", "priority")


def parse_sitemap(head: DocumentHead, body: bytes | bytearray) -> DocumentPage:
    """Parse a sitemap or an index, gzipped or not.

    The records of a sitemap are its entries' pictures, each with its own metadata and its page's;
    an entry without pictures is refused. The records of an index are sitemaps.

    Raises:
        Doubted: it is neither, has too many entries, or cannot be read.
    """
    content = xml_content(body, "a sitemap with pictures")
    try:
        root = xml_root(lambda: io.BytesIO(content))
        if root == "sitemapindex":
            return DocumentPage(list(_sitemaps(content, head.url)), is_index=True)
        if root != "urlset":
            raise _no_sitemap(root)
        reader = XmlFeedReader(lambda: io.BytesIO(content))
        records: list[ListRecord] = []
        for number, entry in reader.entries():
            if number > ENTRIES_MAX:
                raise SourceRefused(
                    f"The sitemap has more than {ENTRIES_MAX} entries.",
                    remedy="Split it: the protocol allows no more.",
                )
            records += _records(number, entry, head.url)
    except SourceRefused as error:
        raise doubted_xml(content, error) from error
    return DocumentPage(records)


def _no_sitemap(root: str) -> SourceRefused:
    if root in {"rss", "feed", "RDF"}:
        return SourceRefused("It is a feed, no sitemap.", remedy="Write feed: before its URL.")
    return SourceRefused("It is XML, but no sitemap.", remedy="Give an image sitemap.")


def _sitemaps(content: bytes, base: str) -> Iterator[ListRecord]:
    """Yield the sitemaps of an index, each once."""
    known: set[str] = set()
    try:
        for _, element in iterparse(io.BytesIO(content), events=("end",)):
            if _name(element) == "loc":
                url = resolved(element.text or "", base)
                if url and url not in known:
                    known.add(url)
                    yield ListRecord(f"sitemap {len(known)}", [url], [{}])
            elif _name(element) == "sitemap":
                element.clear()
            if len(known) > ENTRIES_MAX:
                raise Doubted(
                    f"The index has more than {ENTRIES_MAX} sitemaps.",
                    "Split it: the protocol allows no more.",
                    at_once=True,
                )
    except (ParseError, DefusedXmlException) as error:
        raise Doubted(
            f"The index cannot be read after sitemap {len(known)} ({error}).",
            "Check it with an XML validator.",
            at_once=content.rstrip().endswith(b">"),
        ) from error


def _records(number: int, entry: Element, base: str) -> Iterable[ListRecord]:
    place = f"entry {number}"
    page = {"page": resolved(text, base)} if (text := _text(entry, "loc")) else {}
    page |= {name: text for name in OF_PAGE if (text := _text(entry, name))}
    pictures: list[tuple[str, dict[str, Any]]] = []
    for image in entry:
        if _name(image) != "image" or not (loc := _text(image, "loc")):
            continue
        told = {name: text for name in TEXTS if (text := _text(image, name))}
        pictures.append((resolved(loc, base), {**page, **told}))
    if len(pictures) > PICTURES_MAX:
        problem = f"It names {len(pictures)} pictures; {PICTURES_MAX} of a page are read."
        return [ListRecord(place, metadata=[dict(page)], problem=problem)]
    if not pictures:
        return [ListRecord(place, metadata=[dict(page)], refused=NO_PICTURE)]
    return in_records(place, pictures)


def _text(element: Element, name: str) -> str:
    """Return the text of the first child of a name, in whatever namespace; empty without one."""
    found = (child.text or "" for child in element if _name(child) == name)
    return next(found, "").strip()


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
