"""Finding out what a file is, and opening it as a list of URLs."""

from __future__ import annotations

import io
import re
import zipfile
import zlib

from triptych.errors import SourceRefused
from triptych.gather.lists.bounds import PACKED_MAX_BYTES
from triptych.gather.lists.containers import ZIP, Unpacked, unpack
from triptych.gather.lists.delimited import DelimitedReader
from triptych.gather.lists.json_records import (
    JsonArrayReader,
    JsonDocumentReader,
    JsonLinesReader,
)
from triptych.gather.lists.record import IsUsable, ListReader, OpenFile
from triptych.gather.lists.text_encoding import find_encoding

HEAD_BYTES = 64 * 1024
PARQUET = b"PAR1"
OLE = b"\xd0\xcf\x11\xe0"
"""The old format of workbooks, .xls; also an encrypted one."""
BINARY = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a WebP picture or a sound",
    b"II*\x00": "a TIFF picture",
    b"MM\x00*": "a TIFF picture",
    b"SQLite format 3": "an SQLite database",
}
"""First bytes of files that are given by mistake."""
LINES = (".jsonl", ".ndjson", ".jsonlines")

_HTML = re.compile(rb"\s*(?:<!doctype\s+html|<html)", re.IGNORECASE)


def open_list(opened: OpenFile, name: str, is_usable: IsUsable) -> ListReader:
    """Return a reader of the list in a file; its content decides the format.

    Args:
        opened: opens the file, each time from its beginning.
        name: decides only where the content does not: a file of one JSON object.
        is_usable: tells whether some of a list's columns hold URLs.

    Raises:
        SourceRefused: it is no list, or cannot be read; with the remedy.
    """
    try:
        return _open(opened, name, is_usable)
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, UnicodeError) as error:
        raise SourceRefused(f"It cannot be read ({error}).") from error


def _open(opened: OpenFile, name: str, is_usable: IsUsable) -> ListReader:
    unpacked = unpack(opened, name.lower())
    with unpacked.open() as file:
        head = file.read(HEAD_BYTES)
    # Imported where they are needed: a parser is started for each list, and they take longer to
    # import than a short list takes to read.
    if head.startswith(PARQUET):
        from triptych.gather.lists.parquet_file import ParquetReader

        return ParquetReader(_sought(opened, unpacked), is_usable)
    if head.startswith((ZIP, OLE)):
        from triptych.gather.lists.workbook import WorkbookReader

        return WorkbookReader(_sought(opened, unpacked), is_usable)
    for magic, kind in BINARY.items():
        if head.startswith(magic):
            raise SourceRefused(f"It is {kind}, not a list.", remedy="Give a list of URLs.")
    return _open_text(unpacked, head, is_usable)


def _open_text(unpacked: Unpacked, head: bytes, is_usable: IsUsable) -> ListReader:
    encoding = find_encoding(unpacked.open)
    start = head.decode(encoding.name, "ignore").lstrip("\ufeff \t\r\n").encode()
    if _HTML.match(start):
        raise SourceRefused("It is a web page (HTML), not a list.", remedy="Give a list of URLs.")
    if start.startswith(b"<"):
        from triptych.gather.lists.xml_feed import XmlFeedReader

        return XmlFeedReader(unpacked.open)
    if start.startswith(b"["):
        return JsonArrayReader(unpacked.open, encoding)
    if start.startswith(b"{"):
        if unpacked.name.endswith(LINES) or _is_lines(start):
            return JsonLinesReader(unpacked.open, encoding)
        return JsonDocumentReader(unpacked.open, encoding, is_usable)
    return DelimitedReader(unpacked.open, encoding, is_usable)


def _is_lines(start: bytes) -> bool:
    """Return whether the first line is a whole object: a document has its array further down."""
    first, _, rest = start.partition(b"\n")
    whole = first.rstrip().endswith(b"}")
    return whole and (rest.lstrip().startswith(b"{") or b'"url"' in first.lower())


def _sought(opened: OpenFile, unpacked: Unpacked) -> OpenFile:
    """Return what opens the file for readers that seek: what was packed is held in memory."""
    if unpacked.packed_in is None:
        return opened
    with unpacked.open() as file:
        content = file.read(PACKED_MAX_BYTES + 1)
    if len(content) > PACKED_MAX_BYTES:
        raise SourceRefused(
            f"It is packed in a {unpacked.packed_in}, and has more than {PACKED_MAX_BYTES} bytes "
            "without it.",
            remedy="Unpack it, and give that.",
        )
    return lambda: io.BytesIO(content)
