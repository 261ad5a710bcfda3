"""What a body is that is no picture, in words: mostly a page or an error that a server sent.

The body may be hostile: only its beginning is read, expressions cannot run for long on it, and what
is shown of it is short and printable.
"""

from __future__ import annotations

import codecs
import html
import re
from types import MappingProxyType

from triptych.media.kinds import known_format, other_media

READ_BYTES = 64 * 1024
"""Of a body: a page has its title and its form within."""
SHOWN_MAX_CHARS = 80
HEAD_SHOWN_BYTES = 8
FAMILIES = MappingProxyType({"video": "a video", "audio": "a sound", "model": "a 3-D model"})
"""Names of the first parts of media types."""

_BEFORE = r"\ufeff?\s*(?:(?><!--.*?-->|<\?.*?\?>)\s*)*+"
"""What may stand before the first element."""
_HTML = re.compile(
    rf"{_BEFORE}<(?:!doctype\s+html|html|head|body|title|meta|script|style|link|base|div|span|center"
    r"|table|form|iframe|img|h[1-6]|p|a|b|br|pre)\b",
    re.IGNORECASE | re.DOTALL,
)
_XML = re.compile(rf"{_BEFORE}(?><![^>]*>\s*)?<([A-Za-z_][\w:.-]{{0,60}})", re.DOTALL)
_TITLE = re.compile(r"<title[^>]{0,200}>([^<]{1,300})", re.IGNORECASE)
_PASSWORD = re.compile(r"<input\b[^>]{0,500}?\btype\s*=\s*[\"']?password", re.IGNORECASE)
_CODE = re.compile(r"<Code>([^<]{1,100})</Code>")
"""Of an error of S3, Azure and Google Cloud Storage."""
_BINARY = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\ufffd]")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LFS = "version https://git-lfs.github.com/spec/"


def describe_content(body: bytes) -> str:
    """Say what a body is instead of a picture, with the remedy where there is one. Never raises."""
    if not body.strip(b"\0 \t\r\n"):
        return "nothing but zero bytes and spaces: the file was not written to its end"
    text = _text(body)
    if text is not None and (page := _page(text)) is not None:
        return page
    if (known := known_format(body)) is not None:
        return f"{known.name} ({known.media_type}), which is not decoded"
    if (media_type := other_media(body)) is not None:
        family = FAMILIES.get(media_type.partition("/")[0], "a document")
        return f"{family} ({media_type}), which is not decoded"
    if text is not None:
        return f"text: {_shown(text)}"
    return f"of an unknown format; its first bytes are {body[:HEAD_SHOWN_BYTES].hex(' ')}"


def _page(text: str) -> str | None:
    """Describe a page, a document or a message; None for any other text."""
    if _HTML.match(text):
        return _html_page(text)
    if (root := _XML.match(text)) is not None:
        if (code := _CODE.search(text)) is not None:
            return f"the error {_shown(code[1])} of an object store: renew the URL or its access"
        return f"XML that is not SVG but <{root[1]}>: the URL has to lead to the picture itself"
    if text.lstrip().startswith(("{", "[")):
        return f"JSON, often an error of the server: {_shown(text)}"
    if text.startswith(_LFS):
        return "a pointer of Git LFS: publish the file that it stands for"
    return None


def _html_page(text: str) -> str:
    title = _TITLE.search(text)
    named = f" with the title {_shown(html.unescape(title[1]))}" if title else ""
    if _PASSWORD.search(text):
        return f"an HTML page that asks for a password{named}: use URLs that need no login"
    return f"an HTML page{named}: the URL has to lead to the picture itself"


def _text(body: bytes) -> str | None:
    """Return the beginning of a body as text; None if it is none."""
    head = body[:READ_BYTES]
    if head.startswith(_UTF_16):
        return head.decode("utf-16", "ignore")
    text = head.decode("utf-8", "replace")
    # A character that is cut at the end is none that is broken.
    found = _BINARY.search(text.removesuffix("\ufffd"))
    if found is None:
        return text
    # Of a page in an old encoding, the letters of its markup are the same.
    return text if found[0] == "\ufffd" and _HTML.match(text) else None


def _shown(text: str) -> str:
    """Return text in quotes, in one line, cut."""
    line = " ".join(text[: 4 * SHOWN_MAX_CHARS].split())
    line = "".join(char if char.isprintable() else "\ufffd" for char in line)
    cut = line if len(line) <= SHOWN_MAX_CHARS else f"{line[: SHOWN_MAX_CHARS - 1]}…"
    return f"“{cut}”"
