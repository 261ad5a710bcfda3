"""Content codings (RFC 9110 §8.4.1): those that aiohttp leaves as they came.

aiohttp decodes a body whose ``Content-Encoding`` is exactly ``gzip`` or ``deflate``. Servers also
write ``x-gzip``, which is the same (§8.4.1.3), or name codings in a list.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

import aiohttp
from multidict import CIMultiDictProxy

from triptych.errors import PermanentItemError, TransientItemError
from triptych.model import Reason

CHUNK_BYTES = 64 * 1024
BY_AIOHTTP = frozenset({"gzip", "deflate", "br", "zstd"})
GZIP = frozenset({"gzip", "x-gzip"})
GZIP_MAGIC = b"\x1f\x8b"
"""RFC 1952 §2.3.1: how each member of a gzip file begins."""
UNSUPPORTED = frozenset(
    {
        *("compress", "x-compress", "deflate", "br", "zstd", "dcb", "dcz", "exi"),
        *("pack200-gzip", "x-bzip2", "bzip2", "x-xz", "xz", "lzma", "x-lzma"),
    }
)
"""Codings that the registry or servers know, where aiohttp has not decoded them. Any other word
(``none``, ``utf-8``, ``aws-chunked``) is no coding, and is ignored as browsers ignore it."""


def left_codings(headers: CIMultiDictProxy[str]) -> list[str]:
    """Return the codings of a body that aiohttp has not decoded, in the order they were applied.

    Raises:
        PermanentItemError: one of them is not supported, or there are several.
    """
    values = headers.getall("Content-Encoding", [])
    if not values:
        return []
    # aiohttp heeds the last header, and only if it has one word.
    if values[-1].strip().lower() in BY_AIOHTTP:
        values = values[:-1]
    codings = [word.strip().lower() for value in values for word in value.split(",")]
    left = [coding for coding in codings if coding in GZIP or coding in UNSUPPORTED]
    if len(left) > 1 or not GZIP.issuperset(left):
        shown = ", ".join(left)
        raise PermanentItemError(
            Reason.NOT_AN_IMAGE, f"its Content-Encoding is {shown}, which is not supported"
        )
    return left


async def decoded_chunks(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Yield a response's body, decoded, in chunks of at most `CHUNK_BYTES`.

    Raises:
        PermanentItemError: its coding is not supported.
        TransientItemError: it ends early, or is not in the coding that it declares.
    """
    codings = left_codings(response.headers)
    chunks = response.content.iter_chunked(CHUNK_BYTES)
    if not codings:
        async for chunk in chunks:
            yield chunk
        return
    body = _Gzip()
    try:
        async for chunk in chunks:
            for piece in body.feed(chunk):
                yield piece
    except zlib.error as error:
        detail = f"its Content-Encoding is {codings[0]}, but its body is not ({error})"
        raise TransientItemError(Reason.TRUNCATED, detail) from error
    if not body.whole:
        raise TransientItemError(Reason.TRUNCATED, f"its {codings[0]} body ends early")


class _Gzip:
    """Decodes a gzip file of one or more members, piece by piece."""

    def __init__(self) -> None:
        self._member = _member()
        self._ended = False

    @property
    def whole(self) -> bool:
        """Whether the file may end here."""
        return self._ended or self._member.eof

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what ``data`` decodes to, in pieces of at most `CHUNK_BYTES`.

        Raises:
            zlib.error: it is not gzip.
        """
        full = False
        while (data or full) and not self._ended:
            if self._member.eof:
                if data:
                    # Another member may follow; anything else is padding.
                    self._ended = not GZIP_MAGIC.startswith(data[:2])
                    self._member = _member()
                full = False
                continue
            piece = self._member.decompress(data, CHUNK_BYTES)
            full = len(piece) == CHUNK_BYTES
            data = self._member.unused_data or self._member.unconsumed_tail
            if piece:
                yield piece


def _member() -> zlib._Decompress:
    return zlib.decompressobj(16 + zlib.MAX_WBITS)
