"""What a worker and its decoders say to each other: length-prefixed bytes, never pickles.

What comes out of a decoder is as little trusted as what went in.
"""

from __future__ import annotations

import struct

import numpy as np

from triptych.media.decode import Decoded

RGB = 3
TEXT_MAX_BYTES = 10_000

REQUEST = struct.Struct(">IIQQI")
"""Side, length of the body, pixels, bytes of memory and seconds allowed; then the body."""
ANSWER = struct.Struct(">BI")
"""Whether it is a picture, and the length of what follows: a picture, or a reason and a text."""
PICTURE = struct.Struct(">IIqH")
"""Width, height, perceptual hash, length of the media type; then the type and the pixels."""


def write_picture(decoded: Decoded) -> bytes:
    """Return a picture as the bytes that go over the line."""
    kind = decoded.media_type.encode()
    head = PICTURE.pack(decoded.width, decoded.height, decoded.phash, len(kind))
    return head + kind + decoded.pixels.tobytes()


def read_picture(content: bytes | bytearray, size: int) -> Decoded:
    """Return the picture that `write_picture` wrote.

    Raises:
        ValueError: these are no such bytes.
    """
    try:
        width, height, phash, length = PICTURE.unpack_from(content)
    except struct.error as error:
        raise ValueError(str(error)) from error
    start = PICTURE.size + length
    pixels = np.frombuffer(content, np.uint8, offset=start).reshape(size, size, RGB)
    media_type = bytes(content[PICTURE.size : start]).decode()
    return Decoded(pixels, width, height, media_type, phash)
