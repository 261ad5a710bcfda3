"""Looking for faces in each picture: the asset step `people`."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from triptych.ai.asset_step import AssetStep, Picture
from triptych.ai.steps.people.face_detector import Boxes, FaceDetector
from triptych.features.picture_people import PEOPLE, Face, PicturePeople

LONGEST_SIDE = 800
"""Of the pictures that are looked at, in pixels: a face has to be a fortieth of it."""
BATCH = 16
"""Pictures that are looked at before their results are kept: some seconds, and 30 MB of pixels."""
FACES_MAX = 100
"""Faces of a picture that are kept, the largest."""
SHARE_DIGITS = 4
"""Of coordinates: a tenth of a pixel of the largest picture."""
CONFIDENCE_DIGITS = 3


class FaceReader:
    """Finds the faces of pictures, one call at a time; thread-safe.

    Loads its networks at the first call.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._detector: FaceDetector | None = None

    def __call__(self, pictures: Sequence[Picture]) -> Sequence[Mapping[str, Any]]:
        """Return the people of each picture as `PicturePeople.as_result` has it."""
        with self._lock:
            if self._detector is None:
                self._detector = FaceDetector()
            return [
                shown(self._detector(picture), picture.shape[1], picture.shape[0]).as_result()
                for picture in pictures
            ]


def shown(boxes: Boxes, width: int, height: int) -> PicturePeople:
    """Return what a picture of some pixels shows, given the boxes of its faces."""
    edges = boxes[:, :4].clip(0, [width, height, width, height]) / [width, height, width, height]
    sizes = edges[:, 2:] - edges[:, :2]
    order = np.argsort(-sizes.prod(axis=1), kind="stable")
    faces = []
    for row in order[:FACES_MAX].tolist():
        box = (round(share, SHARE_DIGITS) for share in (*edges[row, :2], *sizes[row]))
        faces.append(Face(round(float(boxes[row, 4]), CONFIDENCE_DIGITS), *map(float, box)))
    return PicturePeople.with_faces(faces, len(boxes) - len(faces))


PEOPLE_FINDING = AssetStep(PEOPLE.name, PEOPLE.version, LONGEST_SIDE, BATCH, FaceReader())
