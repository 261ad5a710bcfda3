"""The pictures of a web page, and where it leads. Runs in a list parser's process.

Read are ``img`` and ``picture``, also as scripts load them later (``data-src``), Open Graph,
Twitter cards, ``link rel=image_src``, microdata, JSON-LD, and links to picture files. Of a picture
in several sizes, the largest is taken. Style sheets are not read, and scripts do not run.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

from ada_url import check_url
from lxml import etree

from triptych.gather.documents.html_text import page_text
from triptych.gather.documents.json_ld import json_ld_pictures
from triptych.gather.documents.relative_url import is_inline, resolved
from triptych.gather.documents.srcset import Candidate, candidates, largest
from triptych.gather.lists.catalog_page import DocumentPage
from triptych.gather.lists.exchange import DocumentHead, ListRecord
from triptych.shown_url import shown_url

PICTURES_MAX: Final = 2_000
"""Pictures of one page; the others are counted."""
LINKS_MAX: Final = 5_000
LINK_MAX_CHARS: Final = 2_000
TEXT_MAX_CHARS: Final = 2_000
"""Of a title and an alternative text."""
SCRIPT_MAX_CHARS: Final = 1024 * 1024
"""Of one JSON-LD script."""
LAZY = ("data-src", "data-lazy-src", "data-original", "data-lazy", "data-image", "data-url")
"""Attributes from which scripts take ``src`` later, the surest first."""
LAZY_SETS = ("data-srcset", "data-lazy-srcset", "data-original-set")
META = {
    **dict.fromkeys(("og:image", "og:image:url", "og:image:secure_url"), "og:image"),
    **dict.fromkeys(("twitter:image", "twitter:image:src"), "twitter:image"),
    **dict.fromkeys(("image", "thumbnailurl"), "meta"),
}
"""Names of meta elements that name a picture, and what is said of where it was found."""
META_ALT = {"og:image:alt": "og:image", "twitter:image:alt": "twitter:image"}
ROBOTS = frozenset({"robots", "triptych"})
OPT_OUTS = frozenset({"noindex", "noimageindex", "noai", "noimageai", "none"})
NOT_FOLLOWED = frozenset({"nofollow", "none"})
PICTURE_FILES = frozenset(
    (
        *("avif", "bmp", "gif", "heic", "heif", "ico", "jfif", "jpeg", "jpg", "jxl", "png", "svg"),
        *("tif", "tiff", "webp"),
    )
)
OTHER_FILES = frozenset(
    (
        *("7z", "aac", "atom", "avi", "bin", "css", "csv", "dmg", "doc", "docx", "eot", "epub"),
        *("exe", "flac", "gz", "ics", "iso", "js", "json", "m4a", "m4v", "mjs", "mov", "mp3"),
        *("mp4", "mpeg", "mpg", "msi", "ogg", "ogv", "otf", "pdf", "ppt", "pptx", "rar", "rss"),
        *("rtf", "tar", "tgz", "ttf", "txt", "vcf", "wasm", "wav", "webm", "wmv", "woff", "woff2"),
        *("xls", "xlsx", "xml", "zip"),
    )
)
"""Endings of links that lead to no page."""
_ENDING = re.compile(r"\.([A-Za-z0-9]{1,5})(?:#|$)")
_NUMBERS = re.compile(r"\d{1,5}")
_REFRESH = re.compile(r"(?i)^\s*\d+\s*[;,]\s*url\s*=\s*['\"]?([^'\"]+)")


def parse_web_page(head: DocumentHead, body: bytes | bytearray) -> DocumentPage:
    """Parse a page, however broken it is: a record for each picture, in the order of the page.

    What was left out is counted in records that are refused.
    """
    page = _Page(head)
    text = page_text(body, head.content_type).replace("\x00", "\ufffd")
    parser = etree.HTMLParser(target=page, encoding="utf-8", no_network=True, huge_tree=False)
    # Its memory is bounded: no tree is built, and the process has limits on memory and CPU time.
    parser.feed(text.encode("utf-8", "replace"))
    parser.close()
    return page.found()


class _Page:
    """Takes the elements of a page as they come."""

    def __init__(self, head: DocumentHead) -> None:
        self._url = head.url
        self._opt_outs = head.opt_outs
        self._base: str | None = None
        self._title: list[str] = []
        self._script: list[str] | None = None
        self._script_chars = 0
        self._in_title = self._in_picture = 0
        self._sources: list[Candidate] = []
        """Of the picture element that is open."""
        self._pictures: dict[str, dict[str, Any]] = {}
        self._links: dict[str, None] = {}
        self._directives: set[str] = set()
        self._last_meta: dict[str, str] = {}
        self._skipped: Counter[str] = Counter()

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """Take the start of an element."""
        name = tag.lower()
        if name == "img":
            self._img(attributes)
        elif name == "picture":
            self._in_picture, self._sources = 1, []
        elif name == "source" and self._in_picture:
            self._sources += self._offered(attributes)
        elif name == "meta":
            self._meta(attributes)
        elif name == "link":
            self._link(attributes)
        elif name in {"a", "area"}:
            self._lead(attributes)
        elif name == "base" and self._base is None and attributes.get("href"):
            self._set_base(attributes["href"])
        elif name == "title" and not self._title:
            self._in_title = 1
        elif name == "script" and "ld+json" in (attributes.get("type") or "").lower():
            self._script, self._script_chars = [], 0

    def end(self, tag: str) -> None:
        """Take the end of an element."""
        name = tag.lower()
        if name == "picture":
            self._in_picture, self._sources = 0, []
        elif name == "title":
            self._in_title = 0
        elif name == "script" and self._script is not None:
            text, self._script = "".join(self._script), None
            self._json_ld(text)

    def data(self, text: str) -> None:
        """Take some text."""
        if self._script is not None:
            self._script_chars += len(text)
            if self._script_chars <= SCRIPT_MAX_CHARS:
                self._script.append(text)
        elif self._in_title:
            self._title.append(text)

    def close(self) -> None:
        """Take the end of the page."""

    def found(self) -> DocumentPage:
        """Return what the page has."""
        links = self._links
        if self._opt_outs and (said := self._directives & NOT_FOLLOWED):
            if links:
                reason = f"links are not followed: the page asks for it ({min(said)})"
                self._skipped[reason] += len(links)
            links = {}
        if self._opt_outs and (said := self._directives & OPT_OUTS):
            if self._pictures:
                reason = f"pictures are not taken: the page opts out (robots: {min(said)})"
                self._skipped[reason] += len(self._pictures)
            self._pictures = {}
        about = {"page": self._url}
        if title := _text("".join(self._title)):
            about["title"] = title
        records = [
            ListRecord(f"{shown_url(self._url)} picture {number}", [url], [{**about, **said}])
            for number, (url, said) in enumerate(self._pictures.items(), start=1)
        ]
        records += [
            ListRecord(shown_url(self._url), refused=f"{count} {what}.")
            for what, count in self._skipped.items()
        ]
        return DocumentPage(records, links=list(links))

    def _set_base(self, href: str) -> None:
        base = resolved(href, self._url)
        if len(base) > LINK_MAX_CHARS:
            self._skipped[f"base has more than {LINK_MAX_CHARS} characters, and is ignored"] += 1
            base = self._url
        self._base = base

    def _img(self, attributes: Mapping[str, str]) -> None:
        offered = [*self._sources, *self._offered(attributes)]
        lazy = [_templated(attributes[name], attributes) for name in LAZY if attributes.get(name)]
        plain = [*lazy, attributes.get("src") or ""]
        # A placeholder may be in src, in srcset, or in both.
        fit = [one for one in offered if one.url and not is_inline(one.url)]
        single = next((url for url in plain if url.strip() and not is_inline(url)), None)
        chosen = largest(fit)
        if chosen is not None and not chosen.width and chosen.density <= 1 and lazy and single:
            chosen = None  # A set without sizes is no better than the one that loads later.
        alt = _text(attributes.get("alt") or attributes.get("title") or "")
        where = "picture" if self._in_picture else "img"
        sizes = len({one.url for one in fit} | ({single} if single else set()))
        if chosen is not None:
            self._add(chosen.url, where, alt, sizes=sizes)
        elif single is not None:
            self._add(single, where, alt, sizes=sizes)
        elif any(url.strip() for url in plain) or offered:
            self._skipped["pictures are in the page itself (data: URLs)"] += 1
        else:
            self._skipped["img elements name no picture"] += 1

    def _offered(self, attributes: Mapping[str, str]) -> list[Candidate]:
        sets = [attributes.get(name) or "" for name in ("srcset", *LAZY_SETS)]
        return [one for each in sets for one in candidates(each)]

    def _meta(self, attributes: Mapping[str, str]) -> None:
        named = attributes.get("property") or attributes.get("name") or attributes.get("itemprop")
        name, content = (named or "").strip().lower(), (attributes.get("content") or "").strip()
        if name in ROBOTS:
            self._directives |= {word.strip() for word in content.lower().split(",")}
        elif (where := META.get(name)) is not None and content:
            if is_inline(content):
                return
            self._last_meta[where] = self._add(content, where, "")
        elif (where := META_ALT.get(name)) is not None and content:
            known = self._pictures.get(self._last_meta.get(where, ""))
            if known is not None:
                known.setdefault("alt", _text(content))
        elif (attributes.get("http-equiv") or "").lower() == "refresh" and (
            found := _REFRESH.match(content)
        ):
            self._follow(found[1])

    def _link(self, attributes: Mapping[str, str]) -> None:
        relations = (attributes.get("rel") or "").lower().split()
        href = attributes.get("href") or ""
        if "image_src" in relations or (attributes.get("itemprop") or "") == "image":
            if href.strip() and not is_inline(href):
                self._add(href, "link", "")
        elif "next" in relations:
            self._follow(href)

    def _lead(self, attributes: Mapping[str, str]) -> None:
        href = (attributes.get("href") or "").strip()
        if not href or href.startswith("#"):
            return
        url = self._resolved(href)
        kind = _file_kind(url)
        if kind in PICTURE_FILES:
            self._add(href, "a", _text(attributes.get("title") or ""))
        elif kind in OTHER_FILES:
            return
        elif "nofollow" in (attributes.get("rel") or "").lower().split() and self._opt_outs:
            self._skipped["links are not followed: they are marked nofollow"] += 1
        else:
            self._follow(href)

    def _follow(self, href: str) -> None:
        url = self._resolved(href).partition("#")[0]
        if not url.startswith(("http://", "https://")) or url in self._links:
            return
        if not check_url(url):
            self._skipped["links are not followed: they are no URLs"] += 1
        elif len(url) > LINK_MAX_CHARS:
            reason = f"links are not followed: they have more than {LINK_MAX_CHARS} characters"
            self._skipped[reason] += 1
        elif len(self._links) >= LINKS_MAX:
            reason = f"links are not followed: of one page, {LINKS_MAX} are"
            self._skipped[reason] += 1
        else:
            self._links[url] = None

    def _json_ld(self, text: str) -> None:
        if self._script_chars > SCRIPT_MAX_CHARS:
            reason = f"JSON-LD scripts have more than {SCRIPT_MAX_CHARS} characters"
            self._skipped[reason] += 1
            return
        try:
            found = list(json_ld_pictures(text))
        except ValueError as error:
            self._skipped[f"JSON-LD scripts cannot be read ({_text(str(error))[:200]})"] += 1
            return
        for url, about in found:
            if url.strip() and not is_inline(url):
                self._add(url, "json-ld", "", about=about)

    def _add(
        self,
        text: str,
        where: str,
        alt: str,
        *,
        sizes: int = 1,
        about: Mapping[str, str] | None = None,
    ) -> str:
        """Add a picture, or what is said of it here to one that is known; return its URL."""
        url = self._resolved(text)
        known = self._pictures.get(url)
        if known is None and len(self._pictures) >= PICTURES_MAX:
            self._skipped[f"pictures are left out: of one page, {PICTURES_MAX} are taken"] += 1
            return url
        said: dict[str, Any] = {
            "found_in": where,
            **{k: _text(v) for k, v in (about or {}).items()},
        }
        if alt:
            said["alt"] = alt
        if sizes > 1:
            said["sizes"] = sizes
        # The first place stays; the others add what it does not say.
        self._pictures[url] = said if known is None else {**said, **known}
        return url

    def _resolved(self, text: str) -> str:
        return resolved(text, self._base or self._url)


def _templated(url: str, attributes: Mapping[str, str]) -> str:
    """Return a URL whose width a script would fill in, with the largest that is offered."""
    if "{width}" not in url:
        return url
    widths = _widths(_NUMBERS.findall(attributes.get("data-widths") or ""))
    return url.replace("{width}", str(max(widths))) if widths else ""


def _file_kind(url: str) -> str:
    """Return the ending of an absolute URL's path, in lower case: a host's is none."""
    _, _, path = url.partition("://")[2].partition("/")
    ending = _ENDING.search(path.partition("?")[0])
    return ending[1].lower() if ending else ""


def _widths(found: Iterable[str]) -> list[int]:
    return [int(each) for each in found]


def _text(text: str) -> str:
    """Return a text on one line; of a long one, its beginning and an ellipsis."""
    plain = " ".join(text.split())
    return plain if len(plain) <= TEXT_MAX_CHARS else plain[: TEXT_MAX_CHARS - 1] + "…"
