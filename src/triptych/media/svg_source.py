"""The text of an SVG document: found behind what may precede it, in UTF-16, and compressed.

What may stand before the first element: byte order mark, XML declaration, comments, processing
instructions, DOCTYPE with an internal subset (XML 1.0, 2.8).
"""

from __future__ import annotations

import re
import zlib

SVG = "image/svg+xml"
UNPACKED_MAX_BYTES = 64 * 1024**2
SNIFF_BYTES = 4 * 1024**2
"""Of a document that has to be unpacked or decoded first."""
PROLOG_MAX = 10_000
"""Comments, instructions and parts of the DOCTYPE before the first element."""
GZIP = b"\x1f\x8b\x08"
"""How a compressed document begins (SVG 2 §1.3: ``.svgz``)."""
GZIP_WINDOW = 31
UTF_8_BOM = b"\xef\xbb\xbf"
SPACES = b" \t\r\n"
ELEMENT = re.compile(rb"<(?:[\w-]+:)?([A-Za-z][\w-]*)")
DOCTYPE = re.compile(rb"<!doctype", re.IGNORECASE)
DOCTYPE_PART = re.compile(rb"\"[^\"]*\"|'[^']*'|<!--.*?-->|<\?.*?\?>|[\[\]>]", re.DOTALL)
DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
PLAIN_MAX_BYTES = 64 * 1024
PLAIN_MAX = 20
"""Layers and gradients of a plain drawing: each takes up to some ten milliseconds."""
MULTIPLYING = re.compile(
    rb"[<:](?:use|image|text|pattern)[\s/>]"
    rb"|(?<![\w-])(?:filter|mask|clip-path|marker(?:-\w+)?|stroke-dasharray)\s*[:=]"
    rb"(?!\s*[\"']?\s*none)"
    rb"|<!ENTITY|&#|/\*",
    re.IGNORECASE,
)
"""What may take any time to draw, and what may hide it."""
LAYERED = re.compile(
    rb"(?<![\w-])opacity\s*[:=](?!\s*[\"']?\s*1[\s;\"'}])|url\(|blend-mode|isolate", re.IGNORECASE
)
NOT_SPACE = re.compile(rb"[^ \t\r\n]")


class TooLarge(Exception):
    """The unpacked document has more than `UNPACKED_MAX_BYTES`."""


def looks_like_svg(body: bytes) -> bool:
    """Return whether the first element of ``body`` is that of an SVG document."""
    packed = body.startswith(GZIP)
    head = _unpacked(body, SNIFF_BYTES) if packed else body
    codec = _wide_codec(head)
    if codec is not None:
        head = head[:SNIFF_BYTES].decode(codec, "ignore").encode("utf-8", "ignore")
    return _first_element(head) == b"svg"


def may_draw_slowly(body: bytes) -> bool:
    """Return whether ``body`` is an SVG that may take long to draw, by a quick look.

    True for what a quick look does not see into. Nothing but the order of work may depend on it.
    """
    if body.startswith(GZIP) or _wide_codec(body) is not None:
        return True
    if _first_element(body) != b"svg":
        return False
    if len(body) > PLAIN_MAX_BYTES or MULTIPLYING.search(body):
        return True
    return len(LAYERED.findall(body)) > PLAIN_MAX


def svg_source(body: bytes) -> bytes:
    """Return the document as an XML parser takes it: not compressed, not in UTF-16.

    A compressed document that is cut short is returned as far as it goes.

    Raises:
        TooLarge: it is.
    """
    if body.startswith(GZIP):
        body = _unpacked(body, UNPACKED_MAX_BYTES + 1)
        if len(body) > UNPACKED_MAX_BYTES:
            raise TooLarge
    codec = _wide_codec(body)
    if codec is None:
        return body
    # Its declaration may name the encoding that it had before somebody saved it in this one.
    text = body.decode(codec, "replace").lstrip("\ufeff")
    return DECLARATION.sub("", text, count=1).encode()


def _unpacked(body: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj(GZIP_WINDOW).decompress(body, limit)
    except zlib.error:
        return b""


def _wide_codec(body: bytes) -> str | None:
    """Return which UTF-16 a document is in; None if it is in another encoding (XML 1.0, F.1)."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if body.startswith(b"<\0") and body[2:4] != b"\0\0":
        return "utf-16-le"
    return "utf-16-be" if body.startswith(b"\0<") else None


def _first_element(body: bytes) -> bytes | None:
    """Return the local name of the first element; None if something else comes first."""
    at = len(UTF_8_BOM) if body.startswith(UTF_8_BOM) else 0
    for _ in range(PROLOG_MAX):
        begins = NOT_SPACE.search(body, at)
        if begins is None or body[begins.start() : begins.start() + 1] != b"<":
            return None
        at = begins.start()
        if body.startswith(b"<!--", at):
            end = _behind(body, b"-->", at + 4)
        elif body.startswith(b"<?", at):
            end = _behind(body, b"?>", at)
        elif DOCTYPE.match(body, at):
            end = _doctype_end(body, at)
        else:
            found = ELEMENT.match(body, at)
            return found[1] if found else None
        if end is None:
            return None
        at = end
    return None


def _behind(body: bytes, closing: bytes, at: int) -> int | None:
    found = body.find(closing, at)
    return None if found < 0 else found + len(closing)


def _doctype_end(body: bytes, at: int) -> int | None:
    depth = 0
    for count, part in enumerate(DOCTYPE_PART.finditer(body, at + 2)):
        if part[0] == b"[":
            depth += 1
        elif part[0] == b"]":
            depth -= 1
        elif part[0] == b">" and depth <= 0:
            return part.end()
        if count > PROLOG_MAX:
            return None
    return None
