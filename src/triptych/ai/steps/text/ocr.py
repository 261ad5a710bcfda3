"""Reading text in pictures with RapidOCR: PP-OCRv6's small models, which its wheel has.

It finds lines (Liao et al., "Real-time Scene Text Detection with Differentiable Binarization",
2020) and reads each. It is given pixels only, never a file's bytes, so that the sandboxed decoders
stay the only readers of those.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.asset_step import AssetStep, Picture
from triptych.features.picture_text import TEXT, PictureText, TextLine

LONGEST_SIDE = 1_280
"""Of the pictures that are read, in pixels."""
DETECTION_SIDE = 960
"""Longest side, in pixels, at which lines are looked for. At 640 a screenshot's small lines are
lost: 15 instead of 61 of six; photographs take .14 instead of .25 CPU seconds."""
BATCH = 8
"""Pictures read before their results are kept: some seconds of work, and 39 MB of pixels."""
SIDE_MIN = 8
"""A picture that is lower or narrower has no letters that could be read, in pixels."""
CONFIDENCE_MIN = 0.6
"""What patterns in photographs are read as lies below it."""
LINES_MAX = 200
"""Lines that are read in a picture."""
LENGTH_MAX = 400.0
"""Length of all lines that are read in a picture, each as a multiple of its height. This is what
reading costs: 6 ms of a CPU for each. The lines with the largest letters are read first. It also
bounds the text: a line has at most six characters for each, 2,400 in all."""
SHARE_DIGITS = 4
"""Of coordinates: a tenth of a pixel of the largest picture."""
CONFIDENCE_DIGITS = 3
THREADS = 1
"""Of one worker; more would take the processors that downloads and embeddings need."""


class TextReader:
    """A loaded reader. Loads its models at the first call; thread-safe, one call at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Any = None

    def __call__(self, pictures: Sequence[Picture]) -> Sequence[Mapping[str, Any]]:
        """Return the text of each picture as `PictureText.as_result` has it."""
        with self._lock:
            if self._engine is None:
                self._engine = _open_engine()
            return [self._read(picture).as_result() for picture in pictures]

    def _read(self, picture: Picture) -> PictureText:
        from rapidocr.utils.process_img import get_rotate_crop_image

        height, width = picture.shape[:2]
        if min(height, width) < SIDE_MIN:
            return PictureText([], 0)
        blue_first = np.ascontiguousarray(picture[..., ::-1])
        corners = self._engine(blue_first, use_det=True, use_rec=False).boxes
        if corners is None:
            return PictureText([], 0)
        lines = []
        chosen = affordable(corners)
        for number in chosen:
            crop = get_rotate_crop_image(blue_first, corners[number].astype(np.float32))
            found = self._engine(crop, use_det=False, use_rec=True)
            for text, score in zip(found.txts or (), found.scores or (), strict=True):
                if score >= CONFIDENCE_MIN and text.strip():
                    lines.append(_line(text, float(score), corners[number] / (width, height)))
        return PictureText(lines, len(corners) - len(chosen))


def affordable(corners: npt.NDArray[np.floating[Any]]) -> list[int]:
    """Return which of some lines, (n, 4, 2) corners, are read, in their order.

    Those with the largest letters are chosen, within `LINES_MAX` and `LENGTH_MAX`.
    """
    edges = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
    sides = np.maximum(np.stack([edges[:, ::2].max(axis=1), edges[:, 1::2].max(axis=1)]), 1)
    # Of upright lines the letters are as wide as the box.
    letters, lengths = sides.min(axis=0), sides.max(axis=0) / sides.min(axis=0)
    chosen: list[int] = []
    spent = 0.0
    for number in np.argsort(-letters, kind="stable")[:LINES_MAX].tolist():
        if spent + lengths[number] <= LENGTH_MAX:
            spent += float(lengths[number])
            chosen.append(number)
    return sorted(chosen)


def _line(text: str, score: float, corners: npt.NDArray[np.float64]) -> TextLine:
    """Return a line in the upright box around its corners, (4, 2) in shares of the picture."""
    left, top = corners.min(axis=0).clip(0, 1).tolist()
    right, bottom = corners.max(axis=0).clip(0, 1).tolist()
    box = (round(share, SHARE_DIGITS) for share in (left, top, right - left, bottom - top))
    clean = " ".join(text.replace("\x00", " ").split())
    return TextLine(clean, round(score, CONFIDENCE_DIGITS), *box)


def _open_engine() -> Any:
    # Slow to import, with 150 MB of libraries, and needed only where pictures are read.
    import cv2
    from rapidocr import RapidOCR

    cv2.setNumThreads(THREADS)
    threads = "EngineConfig.onnxruntime.{}_op_num_threads"
    return RapidOCR(
        params={
            "Global.log_level": "error",
            # Telling lines that stand on their head from others costs more than they are worth.
            "Global.use_cls": False,
            # It enlarges thin pictures to some ten thousand pixels.
            "Global.use_preprocess_img": False,
            "Det.limit_type": "max",
            "Det.limit_side_len": DETECTION_SIDE,
            # Together they are padded to the longest one, in gigabytes.
            "Rec.rec_batch_num": 1,
            threads.format("intra"): THREADS,
            threads.format("inter"): THREADS,
        }
    )


TEXT_READING = AssetStep(TEXT.name, TEXT.version, LONGEST_SIDE, BATCH, TextReader())
