"""Which encoding a text is in."""

from __future__ import annotations

import codecs
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from triptych.errors import SourceRefused

CHUNK_BYTES = 1024 * 1024
HEAD_BYTES = 64 * 1024
FALLBACK = "windows-1252"
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""The longer ones first: that of UTF-32 begins with that of UTF-16."""
NUL_SHARE = 0.3
"""Texts in UTF-16 that are mostly ASCII have a NUL in every second byte."""
PRINTABLE = frozenset(range(0x20, 0x7F)) | {9, 10, 13}
READABLE_SHARE = 0.7
"""Of the other bytes of such a text; the rest belongs to letters that are not ASCII."""


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """An encoding, and what has to be said about it."""

    name: str
    notes: tuple[str, ...] = ()


def find_encoding(opened: Callable[[], IO[bytes]]) -> TextEncoding:
    """Return the encoding of a text: by its byte order mark, else UTF-8, else Windows-1252.

    The whole text is read: a byte that is not UTF-8 may be in its last line. Windows-1252 is a
    guess, so it has a note.

    Raises:
        SourceRefused: it is no text, or was cut in the middle of a character.
        OSError, EOFError: it cannot be read.
    """
    with opened() as file:
        head = file.read(HEAD_BYTES)
    for bom, name in BOMS:
        if head.startswith(bom):
            return TextEncoding(name)
    if b"\x00" in head:
        return _without_mark(head)
    return _utf8_or_fallback(opened)


def _without_mark(head: bytes) -> TextEncoding:
    for first, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        high, low = head[first::2], head[1 - first :: 2]
        readable = sum(byte in PRINTABLE for byte in low)
        if high.count(0) > NUL_SHARE * len(high) and readable > READABLE_SHARE * len(low):
            note = f"It has no byte order mark; it was read as {name.upper()}."
            return TextEncoding(name, (note,))
    raise SourceRefused(
        "It is no text: it holds NUL bytes.", remedy="Save the list as CSV in UTF-8."
    )


def _utf8_or_fallback(opened: Callable[[], IO[bytes]]) -> TextEncoding:
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines = 1
    with opened() as file:
        while chunk := file.read(CHUNK_BYTES):
            if b"\x00" in chunk:
                raise SourceRefused(
                    f"It is no text: a NUL byte is near line {lines + chunk.count(10)}.",
                    remedy="Save the list as CSV in UTF-8.",
                )
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError as error:
                place = lines + error.object[: error.start].count(b"\n")
                return _fallback(opened, place, error.object[error.start])
            lines += chunk.count(b"\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise SourceRefused(
            f"It ends in the middle of a character, in line {lines}: it was cut.",
            remedy="Get the whole list.",
        ) from error
    return TextEncoding("utf-8")


def _fallback(opened: Callable[[], IO[bytes]], line: int, byte: int) -> TextEncoding:
    decoder = codecs.getincrementaldecoder(FALLBACK)()
    with opened() as file:
        try:
            while chunk := file.read(CHUNK_BYTES):
                decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise SourceRefused(
                f"It is neither UTF-8 nor Windows-1252: byte 0x{error.object[error.start]:02x}.",
                remedy="Save the list in UTF-8.",
            ) from error
    note = (
        f"It is not UTF-8 (byte 0x{byte:02x} in line {line}); it was read as Windows-1252. "
        "Save it in UTF-8 if names look wrong."
    )
    return TextEncoding(FALLBACK, (note,))
