"""Tags by faces: where people are looked for, and the vocabulary has the words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from tests.support.snapshots import snapshot_of, unit
from triptych.ai.context import AssetStepOutcome, Context
from triptych.ai.step import Snapshot
from triptych.ai.steps.tags.tags import TAGS_OF_ONE, find_tags
from triptych.ai.vocabulary import parse_vocabulary
from triptych.features.feature_store import Feature
from triptych.features.picture_people import Face, PicturePeople

WORDS = ["red", "green"]


class Encoder:
    """Each word is an axis; it knows no other."""

    model = "words"
    image_model = "m"
    dimension = 3

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        axes = [WORDS.index(text) if text in WORDS else 2 for text in texts]
        return np.eye(3, dtype=np.float32)[axes]

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(np.maximum(scores, 0), np.float32)


class Faces:
    """Faces' sides by row; the first face of each picture is the surest."""

    def __init__(self, sides: dict[int, list[float]], *, runs: bool = True) -> None:
        self._sides = sides
        self._runs = runs

    def outcome(self, step: str) -> AssetStepOutcome | None:
        return AssetStepOutcome() if self._runs and step == "people" else None

    def read(self, step: str) -> Iterable[tuple[int, Feature]]:
        for row, sides in self._sides.items() if self._runs else ():
            faces = [Face(0.9 - at / 100, 0, 0, side, side) for at, side in enumerate(sides)]
            yield row, Feature(bytes(32), PicturePeople.with_faces(faces).as_result())
        if self._runs:
            yield 3, Feature(bytes(32), None, "broken")


def shop(features: Faces, words: str = "red\ngreen\nperson\nface") -> Snapshot:
    vocabulary = parse_vocabulary(words)
    context = Context(text=Encoder, vocabulary=lambda: vocabulary, features=features)
    rows = unit(np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]]))
    return snapshot_of(rows, phash=[0] * 4, context=context)


def test_pictures_with_faces_are_tagged_by_them() -> None:
    snapshot = shop(Faces({0: [0.5, 0.1], 1: [0.1], 2: []}))
    found = find_tags(snapshot)
    assert found.marks["tags"] == [
        ["red", "person", "face"],
        ["green", "person"],
        ["red"],
        ["green"],
    ]
    by_name = {tag["tag"]: tag for tag in found.result["tags"]}
    assert by_name["person"]["count"] == 2
    assert by_name["person"]["score"] == 0.9
    assert by_name["face"]["examples"] == [snapshot.key(0)]


def test_no_tag_by_faces_where_nobody_is_looked_for_or_the_vocabulary_lacks_it() -> None:
    plain = [["red"], ["green"], ["red"], ["green"]]
    assert find_tags(shop(Faces({0: [0.5]}, runs=False))).marks["tags"] == plain
    assert find_tags(shop(Faces({0: [0.5]}), "red\ngreen")).marks["tags"] == plain
    only = find_tags(shop(Faces({0: [0.5]}), "red\ngreen\nface"))
    assert only.marks["tags"][0] == ["red", "face"]


def test_a_picture_has_no_more_tags_than_before() -> None:
    words = "\n".join(["red", *(f"red {n}: red" for n in range(TAGS_OF_ONE)), "person"])
    tags = find_tags(shop(Faces({0: [0.5]}), words)).marks["tags"][0]
    assert len(tags) == TAGS_OF_ONE
