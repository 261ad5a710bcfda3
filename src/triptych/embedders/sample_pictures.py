"""Pictures made by code, on which two runs of a model are compared.

They are computed in whole numbers, so they are the same bytes on every machine.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triptych.embedders.embedder import Embedder

PAIR_TOLERANCE = 0.01
"""How far a model's cosine of the test pair may be from the expected one. Measured with the bundled
model: OpenVINO moves it by less than 0.0001, red and blue exchanged by 0.033."""
FULL = 255


def sample_pictures(side: int) -> npt.NDArray[np.uint8]:
    """Return eight pictures of shape (8, side, side, 3); the first two are the test pair.

    A disc, a gradient, a square, tiles, stripes, noise, a ring and lines of words: even areas,
    edges and texture, which rounding moves in different ways.
    """
    y, x = np.mgrid[0:side, 0:side].astype(np.int64) * FULL // max(1, side - 1)
    distance = (x - 128) ** 2 + (y - 128) ** 2
    white = np.full_like(x, FULL)
    inside = distance < 80**2
    ring = (distance > 50**2) & (distance < 90**2)
    square = (abs(x - 128) < 60) & (abs(y - 128) < 60)
    tiles = (x // 32 + y // 32) % 2 * 200
    stripes = (x + 2 * y) // 24 % 2
    noise = (x * 7919 + y * 104729 + x * y * 31) % 251
    words = (y // 16 % 2 == 1) & (x > 24) & (x < 232) & (x // 9 % 4 != 0)
    drawn = (
        (np.where(inside, 200, white), np.where(inside, 30, white), np.where(inside, 40, white)),
        (x, y, FULL - x),
        (np.where(square, 20, 120), np.where(square, 60, 120), np.where(square, 200, 120)),
        (tiles, tiles, tiles),
        (stripes * 240, stripes * 120 + 60, 40 + 0 * stripes),
        (noise, (noise * 3) % 256, (noise * 7) % 256),
        (np.where(ring, 220, 15), np.where(ring, 180, 15), np.where(ring, 60, 30)),
        (np.where(words, 10, white), np.where(words, 10, white), np.where(words, 10, white)),
    )
    return np.stack([np.stack(channels, axis=-1) for channels in drawn]).astype(np.uint8)


def pair_cosine(embedder: Embedder) -> float:
    """Return the cosine of the test pair's embeddings.

    Raises:
        ModelError: the model fails.
    """
    first, second = embedder.embed(sample_pictures(embedder.input_size)[:2])
    return float(first @ second)
