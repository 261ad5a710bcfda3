"""The bytes of an XML document: unpacked within bounds, and what is wrong with them."""

from __future__ import annotations

import io
import zipfile
import zlib

from triptych.errors import SourceRefused
from triptych.gather.lists.bounded_file import BoundedFile
from triptych.gather.lists.catalog_page import Doubted
from triptych.gather.lists.containers import unpack

DOCUMENT_MAX_BYTES = 64 * 1024 * 1024
"""Bytes of a sitemap or of a page of a feed, unpacked. The sitemap protocol allows 50 MiB."""


def unpacked_xml(body: bytes | bytearray) -> bytes:
    """Return a document without its gzip, which a server need not declare.

    Raises:
        Doubted: it is empty, packed in another way, cut, or too large.
    """
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
