"""Finding out what a file is, and opening it as a list of URLs."""

from __future__ import annotations

import re
import shutil
import zipfile
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile

import pyarrow as pa

from triptych.errors import SourceRefused
from triptych.gather.lists.containers import ZIP, Unpacked, unpack
from triptych.gather.lists.delimited import DelimitedReader
from triptych.gather.lists.json_records import (
    JsonArrayReader,
    JsonDocumentReader,
    JsonLinesReader,
)
from triptych.gather.lists.parquet_file import MAGIC as PARQUET
from triptych.gather.lists.parquet_file import ParquetReader
from triptych.gather.lists.record import IsUsable, ListReader
from triptych.gather.lists.text_encoding import find_encoding
from triptych.gather.lists.workbook import OLE_MAGIC, WorkbookReader
from triptych.gather.lists.xml_feed import XmlFeedReader

HEAD_BYTES = 64 * 1024
BINARY = {
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"SQLite format 3": "an SQLite database",
}
"""First bytes of files that are given by mistake."""
LINES = (".jsonl", ".ndjson", ".jsonlines")

_HTML = re.compile(rb"\s*(?:<!doctype\s+html|<html)", re.IGNORECASE)


def open_list(path: Path, name: str, is_usable: IsUsable, stack: ExitStack) -> ListReader:
    """Return a reader of the list in a file; its content decides the format.

    Args:
        path: the file.
        name: decides only where the content does not: a file of one JSON object.
        is_usable: tells whether some of a list's columns hold URLs.
        stack: removes at its end what had to be unpacked; the reader is used until then.

    Raises:
        SourceRefused: it is no list, or cannot be read; with the remedy.
    """
    try:
        return _open(path, name, is_usable, stack)
    except (OSError, EOFError, zipfile.BadZipFile, pa.ArrowException, UnicodeError) as error:
        raise SourceRefused(f"It cannot be read ({error}).") from error


def _open(path: Path, name: str, is_usable: IsUsable, stack: ExitStack) -> ListReader:
    unpacked = unpack(path, name.lower())
    with unpacked.open() as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(PARQUET):
        return ParquetReader(_on_disk(path, unpacked, stack), is_usable)
    if head.startswith((ZIP, OLE_MAGIC)):
        return WorkbookReader(_on_disk(path, unpacked, stack), is_usable)
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


def _on_disk(path: Path, unpacked: Unpacked, stack: ExitStack) -> Path:
    """Return a path for readers that seek: of the file itself, or of an unpacked copy."""
    if unpacked.packed_in is None:
        return path
    copy = stack.enter_context(NamedTemporaryFile(prefix="triptych-list-"))  # noqa: SIM115
    with unpacked.open() as file:
        shutil.copyfileobj(file, copy)
    copy.flush()
    return Path(copy.name)
