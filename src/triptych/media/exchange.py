"""The protocol between a worker and its decoders: length-prefixed bytes, never pickles.

A decoder's output is trusted as little as its input.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from enum import IntEnum

import msgspec
import numpy as np
import orjson

from triptych.media.decoded import Decoded
from triptych.media.file_facts import FileFacts
from triptych.model import Colour

RGB = 3
TEXT_MAX_BYTES = 10_000

REQUEST = struct.Struct(">BIIQdQI")
"""`Wanted`, side, length of the body, pixels, share of missing rows, bytes of memory and seconds
allowed; then the body."""
ANSWER = struct.Struct(">BI")
"""Success or not, and the length of the payload: the result, or a reason and a text."""


class Wanted(IntEnum):
    """What a decoder is to produce."""

    PICTURE = 0
    """Pixels and fingerprints; see `write_picture`."""
    THUMBNAIL = 1
    """The bytes of a WebP."""
    FACTS = 2
    """JSON; see `write_facts`."""


def write_greeting(missing: Sequence[str]) -> bytes:
    """Encode what a decoder sends first: what its sandbox lacks, in words."""
    content = orjson.dumps(missing)
    return ANSWER.pack(True, len(content)) + content


def read_greeting(content: bytes | bytearray) -> tuple[str, ...]:
    """Return what the payload of `write_greeting` says.

    Raises:
        ValueError: the bytes are malformed.
    """
    return tuple(str(text) for text in orjson.loads(content))


HEAD = struct.Struct(">I")
"""Length of a picture's JSON, which follows; then its pixels."""


def write_picture(decoded: Decoded) -> bytes:
    """Encode a picture for the protocol."""
    told = orjson.dumps(
        {
            "width": decoded.width,
            "height": decoded.height,
            "media_type": decoded.media_type,
            "phash": decoded.phash,
            "colours": [(colour.rgb, colour.share) for colour in decoded.colours],
        }
    )
    return HEAD.pack(len(told)) + told + decoded.pixels.tobytes()


def read_picture(content: bytes | bytearray, size: int) -> Decoded:
    """Return the picture that `write_picture` wrote.

    Raises:
        ValueError: the bytes are malformed.
    """
    try:
        (length,) = HEAD.unpack_from(content)
        start = HEAD.size + length
        told = orjson.loads(bytes(content[HEAD.size : start]))
        return Decoded(
            pixels=np.frombuffer(content, np.uint8, offset=start).reshape(size, size, RGB),
            width=int(told["width"]),
            height=int(told["height"]),
            media_type=str(told["media_type"]),
            phash=int(told["phash"]),
            colours=tuple(Colour(int(rgb), float(share)) for rgb, share in told["colours"]),
        )
    except (struct.error, KeyError, TypeError) as error:
        raise ValueError(str(error)) from error


def write_facts(facts: FileFacts) -> bytes:
    """Encode what a file shows for the protocol."""
    return msgspec.json.encode(facts)


def read_facts_answer(content: bytes | bytearray) -> FileFacts:
    """Return what `write_facts` wrote.

    Raises:
        ValueError: the bytes are malformed, or a text is too long.
    """
    try:
        return msgspec.json.decode(content, type=FileFacts)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error


def read_thumbnail(content: bytes | bytearray) -> bytes:
    """Return a thumbnail's bytes.

    Raises:
        ValueError: the bytes are not a WebP.
    """
    if not _is_webp(content):
        raise ValueError("no WebP")
    return bytes(content)


def _is_webp(content: bytes | bytearray) -> bool:
    """Return whether these are the first bytes of a WebP."""
    return content[:4] == b"RIFF" and content[8:12] == b"WEBP"
