"""RSS and Atom feeds, Google Merchant's among them, and image sitemaps.

https://www.rssboard.org/rss-specification, RFC 4287,
https://support.google.com/merchants/answer/7052112, https://www.sitemaps.org/protocol.html,
https://developers.google.com/search/docs/crawling-indexing/sitemaps/image-sitemaps
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from triptych.errors import SourceRefused
from triptych.gather.lists.bounded_file import BoundedFile
from triptych.gather.lists.record import BadRecord, ListFormat, Record

ENTRY_MAX_BYTES = 8 * 1024 * 1024
"""Bytes that are read for one entry."""
ENTRY_ELEMENTS_MAX = 50_000
"""Elements and attributes of one entry. An empty element takes thirty times its bytes in memory."""
ENTRIES = {"item": "RSS feed", "entry": "Atom feed", "url": "Sitemap"}
"""Elements that are a record, and what has them."""
ROOTS = {"rss", "RDF", "feed", "urlset", "channel"}
XML_BASE = "{http://www.w3.org/XML/1998/namespace}base"
"""To what relative URLs are relative (https://www.w3.org/TR/xmlbase/)."""
IMAGE = "url"
"""The name under which an entry's pictures are."""


class XmlFeedReader:
    """A feed or a sitemap, read entry by entry."""

    def __init__(self, opened: Callable[[], IO[bytes]]) -> None:
        """Look at the root.

        After reading, `next` is where a paged feed (RFC 5005 §3) says that it goes on, and `base`
        its root's ``xml:base``.

        Raises:
            SourceRefused: it is another kind of XML, or no XML.
        """
        self._opened = opened
        self.next: str | None = None
        self.base = ""
        root = xml_root(opened)
        if root == "sitemapindex":
            raise SourceRefused(
                "It is an index of sitemaps.", remedy="Write sitemap: before its URL."
            )
        if root not in ROOTS:
            raise SourceRefused(
                "It is XML, but no RSS or Atom feed, and no sitemap.",
                remedy="Give a feed, a sitemap, or CSV.",
                quoted=f"It has the root {root}.",
            )
        name = {"urlset": "Sitemap", "feed": "Atom feed"}.get(root, "RSS feed")
        self.format = ListFormat(name, None)

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """See `ListReader.records`."""
        found = (Record(f"entry {number}", _values(entry)) for number, entry in self.entries())
        return islice(found, offset, None)

    def entries(self) -> Iterator[tuple[int, Element]]:
        """Yield each entry and its number, from 1; the element is valid until the next one.

        Raises:
            SourceRefused: the rest cannot be read, or an entry is too large.
        """
        with self._opened() as file:
            counted = _counted(file)
            number = elements = 0
            parents: list[Element] = []
            try:
                for event, element in iterparse(counted, events=("start", "end")):
                    if event == "start":
                        if not parents:
                            self.base = element.get(XML_BASE, "")
                        parents.append(element)
                        elements += 1 + len(element.attrib)
                        if elements > ENTRY_ELEMENTS_MAX:
                            raise _too_many(number)
                        continue
                    parents.pop()
                    if _inside_entry(parents):
                        continue
                    if _local(element) == "link" and element.get("rel") == "next":
                        self.next = self.next or element.get("href")
                    if _local(element) in ENTRIES:
                        number += 1
                        yield number, element
                        counted.restart(_too_long(number + 1))
                        elements = 0
                        # What was read is not needed any more, nor are empty elements kept.
                        for parent in parents[-1:]:
                            parent.remove(element)
            except (ParseError, DefusedXmlException) as error:
                raise SourceRefused(
                    f"The XML cannot be read after entry {number} ({error}).",
                    remedy="Check it with an XML validator.",
                ) from error


def _too_many(number: int) -> SourceRefused:
    return SourceRefused(
        f"Entry {number + 1} of the XML has more than {ENTRY_ELEMENTS_MAX} elements and attributes."
    )


def _inside_entry(parents: list[Element]) -> bool:
    return any(_local(parent) in ENTRIES for parent in parents)


def xml_root(opened: Callable[[], IO[bytes]]) -> str:
    """Return the name of a document's root, without its namespace.

    Raises:
        SourceRefused: it is no XML.
    """
    with opened() as file:
        try:
            for _, element in iterparse(_counted(file), events=("start",)):
                return _local(element)
        except (ParseError, DefusedXmlException) as error:
            raise SourceRefused(f"It is not XML that can be read ({error}).") from error
    raise SourceRefused("It is an XML document without an element.")


def _counted(file: IO[bytes]) -> BoundedFile:
    remedy = "Leave out what is no URL and no metadata."
    return BoundedFile(file, max_bytes=ENTRY_MAX_BYTES, problem=_too_long(1), remedy=remedy)


def _too_long(number: int) -> str:
    return f"Entry {number} of the XML has more than {ENTRY_MAX_BYTES} bytes."


def _local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _values(entry: Element) -> dict[str, Any]:
    """Return an entry's texts by name, and the URLs of its pictures as `IMAGE`."""
    pictures: list[str] = []
    values: dict[str, Any] = {}
    for element in entry.iter():
        if element is entry:
            continue
        if (url := _picture(element)) is not None:
            pictures.append(url)
        elif (text := (element.text or "").strip()) and not len(element):
            name = _local(element)
            if name == "loc":
                name = "page"
            known = values.get(name)
            values[name] = text if known is None else [*_as_list(known), text]
    if not pictures and _local(entry) == "url" and isinstance(values.get("page"), str):
        # A sitemap without image elements: its locations are what it lists.
        pictures = [values["page"]]
    return {**values, IMAGE: list(dict.fromkeys(pictures))}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _picture(element: Element) -> str | None:
    """Return the URL of a picture that an element names."""
    name, namespace = _local(element), str(element.tag).partition("}")[0].lower()
    text = (element.text or "").strip()
    if name in {"image_link", "additional_image_link"} or (name == "loc" and "image" in namespace):
        return text or None
    if name == "enclosure" or (name == "link" and element.get("rel") == "enclosure"):
        url = element.get("url") or element.get("href")
        return url if (element.get("type") or "").startswith("image/") else None
    if name == "content" and "mrss" in namespace:
        medium, kind = element.get("medium"), element.get("type") or ""
        return element.get("url") if medium == "image" or kind.startswith("image/") else None
    if name == "thumbnail" and "mrss" in namespace:
        return element.get("url")
    if name == "image" and "itunes" in namespace:
        return element.get("href")
    return None
