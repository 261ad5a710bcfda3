"""The bytes of an XML document: unpacked within bounds, and what is wrong with them."""

from __future__ import annotations

import io
import re
import zipfile
import zlib

from triptych.errors import SourceRefused
from triptych.gather.lists.bounded_file import BoundedFile
from triptych.gather.lists.catalog_page import Doubted
from triptych.gather.lists.containers import unpack

DOCUMENT_MAX_BYTES = 64 * 1024 * 1024
"""Bytes of a sitemap or of a page of a feed, unpacked. The sitemap protocol allows 50 MiB."""


_HTML = re.compile(rb"(?is)(?:<!--.{0,500}?-->\s*)?(?:<!doctype\s+html|<html)")
_BEFORE = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"
"""Byte order marks, halves of UTF-16 and blanks, which may stand before a document."""


def xml_content(body: bytes | bytearray, what: str) -> bytes:
    """Return a document without its gzip, which a server need not declare.

    ``what`` it should be is named in the errors: ``a sitemap``.

    Raises:
        Doubted: it is empty, packed in another way, cut, too large, a web page, or no XML.
    """
    content = _unpacked(body)
    if _HTML.match(content.lstrip(_BEFORE)):
        raise Doubted(
            f"It is a web page (HTML), not {what}.", "Write page: before its URL.", at_once=True
        )
    if not content.lstrip(_BEFORE).startswith(b"<"):
        raise Doubted(
            f"It is no XML, and so not {what}.",
            "Write manifest: before the URL of another kind of list.",
            at_once=True,
        )
    return content


def _unpacked(body: bytes | bytearray) -> bytes:
    if not body.strip():
        raise Doubted("It is empty.", "Check it in a browser.", at_once=False)
    problem = f"It has more than {DOCUMENT_MAX_BYTES} bytes unpacked."
    try:
        plain = unpack(lambda: io.BytesIO(body), "")
        with BoundedFile(plain.open(), max_bytes=DOCUMENT_MAX_BYTES, problem=problem) as file:
            return file.readall()
    except SourceRefused as error:
        raise Doubted(error.message, error.remedy or "Split it.", at_once=True) from error
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        # Cut on its way, perhaps.
        raise Doubted(
            f"It cannot be unpacked ({error}).", "Check its gzip.", at_once=False
        ) from error


def doubted_xml(body: bytes, error: SourceRefused) -> Doubted:
    """Return an error of a reader as a doubt: one that is cut may be whole next time."""
    whole = body.rstrip().endswith(b">")
    return Doubted(error.message, error.remedy or "Check it in a browser.", at_once=whole)
