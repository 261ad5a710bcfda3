"""Photographs for the bench: generated JPEGs of about 50 kB, each of other bytes."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

DIFFERENT = 50
SIDE = 640
COMMENT = b"\xff\xfe"


def picture(number: int) -> bytes:
    """Return a JPEG of about 50 kB: smooth colour with some noise, as photographs have."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8))
    smooth = np.asarray(coarse.resize((SIDE, SIDE * 3 // 4), Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(smooth + rng.normal(0, 9, smooth.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def numbered(jpeg: bytes, number: int) -> bytes:
    """Return the same picture in other bytes: its number stands in a comment of its own."""
    text = str(number).encode()
    return jpeg[:2] + COMMENT + (2 + len(text)).to_bytes(2, "big") + text + jpeg[2:]


def write_pictures(folder: Path, count: int) -> None:
    """Make ``<number>.jpg`` from 0 up, those that are not there yet."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [n for n in range(count) if not (folder / f"{n}.jpg").exists()]
    different = [picture(number) for number in range(DIFFERENT)] if missing else []
    for number in missing:
        whole = folder / f"{number}.new"
        whole.write_bytes(numbered(different[number % DIFFERENT], number))
        whole.replace(folder / f"{number}.jpg")
