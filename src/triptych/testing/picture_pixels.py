"""The pixels of made pictures, in the forms in which steps are given those of stored ones."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image
from typing_extensions import override

from triptych.ai.context import Pixels
from triptych.ai.pictures import PictureReader
from triptych.ai.step import Snapshot
from triptych.media.file_facts import FileFacts
from triptych.media.file_reading import read_facts
from triptych.testing.pictures import Picture


class MadePictures(PictureReader):
    """`PictureReader` of the pictures of a test. Those without pixels are away."""

    def __init__(self, pictures: Sequence[Picture]) -> None:
        self._pixels = {one.sha256: one.pixels for one in pictures if one.pixels is not None}

    @override
    async def __call__(self, sha256: bytes, side: int) -> npt.NDArray[np.uint8] | None:
        pixels = self._pixels.get(sha256)
        if pixels is None:
            return None
        longest = max(pixels.shape[:2])
        if longest <= side:
            return pixels.copy()
        height, width = (max(1, round(length * side / longest)) for length in pixels.shape[:2])
        return _resized(pixels, width, height)

    @override
    async def facts(self, sha256: bytes) -> FileFacts | None:
        pixels = self._pixels.get(sha256)
        if pixels is None:
            return None
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "PNG")
        return read_facts(file.getvalue(), max_pixels=pixels.size)

    def of(self, snapshot: Snapshot) -> Pixels:
        """Return what a brand-wide step reads the pixels of a snapshot's assets with."""

        def read(row: int, side: int) -> npt.NDArray[np.uint8] | None:
            pixels = self._pixels.get(snapshot.sha256[row].tobytes())
            return None if pixels is None else _resized(pixels, side, side)

        return read


def _resized(pixels: npt.NDArray[np.uint8], width: int, height: int) -> npt.NDArray[np.uint8]:
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized, dtype=np.uint8)
