"""Perceptual fingerprints of pictures, for finding near-duplicates."""

from __future__ import annotations

import imagehash
from PIL import Image

HASH_BITS = 64
REDUCE_TO = 128
"""Side to which a picture is reduced before hashing; the hash itself uses 32 pixels a side."""


def phash(image: Image.Image) -> int:
    """Return the 64-bit perceptual hash of a picture, as a signed integer.

    It compares the 8×8 lowest DCT frequencies of the grey 32×32 picture with their median (Zauner,
    2010). Small Hamming distances mean the same picture, edited.
    """
    small = image.convert("L")
    small.thumbnail((REDUCE_TO, REDUCE_TO), Image.Resampling.BOX)
    value = int(str(imagehash.phash(small)), 16)
    return value - (1 << HASH_BITS) if value >= 1 << (HASH_BITS - 1) else value


def hamming(first: int, second: int) -> int:
    """Return the number of differing bits of two 64-bit hashes."""
    return ((first ^ second) & ((1 << HASH_BITS) - 1)).bit_count()
