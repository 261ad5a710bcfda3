"""Fingerprints of a picture's content, for finding near-duplicates."""

from __future__ import annotations

import imagehash
from PIL import Image

HASH_BITS = 64
REDUCE_TO = 128
"""Side to which a picture is resized before hashing: the hash uses 32 pixels per side."""


def phash(image: Image.Image) -> int:
    """Return the 64-bit perceptual hash of a picture, as a signed integer.

    DCT of the grey picture at 32×32, its 8×8 lowest frequencies against their median (Zauner,
    2010). Small Hamming distances mean the same picture or an edited copy.
    """
    small = image.convert("L")
    small.thumbnail((REDUCE_TO, REDUCE_TO), Image.Resampling.BOX)
    value = int(str(imagehash.phash(small)), 16)
    return value - (1 << HASH_BITS) if value >= 1 << (HASH_BITS - 1) else value


def reduced(image: Image.Image) -> Image.Image:
    """Return a small copy of a picture for `phash`, by a whole factor, at least `REDUCE_TO` long.

    Its hash differs from that of the whole by rounding. Worth it where every pixel costs more work.
    """
    return image.reduce(max(1, max(image.size) // REDUCE_TO))


def hamming(first: int, second: int) -> int:
    """Return in how many of their 64 bits two hashes differ."""
    return ((first ^ second) & ((1 << HASH_BITS) - 1)).bit_count()
