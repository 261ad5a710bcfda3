"""Clusters are called what their pictures are named or show, and nothing where that is doubtful."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.snapshots import snapshot_of, unit
from triptych.ai.context import ALONE, AssetStepOutcome, Context
from triptych.ai.step import Snapshot
from triptych.ai.steps.clusters.cluster_labels import Label, label_all
from triptych.ai.steps.clusters.clusters import find_clusters
from triptych.ai.vocabulary import parse_vocabulary
from triptych.errors import ModelError
from triptych.features.feature_store import Feature
from triptych.features.picture_text import PictureText, TextLine
from triptych.model import Colour

RED, GREEN = Colour(0xE01010, 0.9), Colour(0x20A040, 0.9)
HALVES = [np.arange(4), np.arange(4, 8)]
PLAIN = [f"https://x/IMG_{n}.jpg" for n in range(8)]


def labelled(
    urls: Sequence[str],
    *,
    titles: Sequence[tuple[str, ...]] = (),
    colours: Sequence[tuple[Colour, ...]] | None = None,
    context: Context = ALONE,
) -> Snapshot:
    """Make a snapshot whose halves look different."""
    vectors = np.zeros((len(urls), 3))
    vectors[: len(urls) // 2, 0] = vectors[len(urls) // 2 :, 1] = 1
    snapshot = snapshot_of(unit(vectors), phash=[0] * len(urls), colours=colours, context=context)
    return replace(snapshot, urls=list(urls), titles=titles)


def texts(labels: Sequence[Label | None]) -> list[str | None]:
    return [None if label is None else label.text for label in labels]


def test_file_names_are_the_label_and_its_origin_is_said() -> None:
    urls = [f"https://x/air-fryer-{n}.png" for n in range(4)] + PLAIN[4:]
    assert label_all(labelled(urls), HALVES) == [Label("air fryer", "names"), None]


def test_titles_are_preferred_unless_the_names_say_more() -> None:
    titles = [("Air fryers", "EUR")] * 4 + [()] * 4
    found = label_all(labelled(PLAIN, titles=titles), HALVES)
    assert found == [Label("air fryers", "metadata"), None]
    urls = [f"https://x/air_fryer_{n}.png" for n in range(4)] + PLAIN[4:]
    assert label_all(labelled(urls, titles=titles), HALVES)[0] == Label("air fryers", "metadata")
    urls = [f"https://x/steel-air-fryer_{n}.png" for n in range(4)] + PLAIN[4:]
    assert label_all(labelled(urls, titles=titles), HALVES)[0] == Label("steel air fryer", "names")


@dataclass
class Read:
    """Lines by row, each with its confidence."""

    lines: dict[int, list[tuple[str, float]]]

    def outcome(self, step: str) -> AssetStepOutcome | None:
        return AssetStepOutcome() if step == "text" else None

    def read(self, step: str) -> Iterable[tuple[int, Feature]]:
        for row, lines in self.lines.items() if step == "text" else ():
            text = PictureText([TextLine(line, sure, 0, 0, 1, 1) for line, sure in lines], 0)
            yield row, Feature(bytes(32), text.as_result())
        yield 7, Feature(bytes(32), None, "broken")


def test_the_text_in_the_pictures_is_the_label_where_names_and_titles_say_nothing() -> None:
    lines = {row: [("Summer Sale 2026", 0.95), (f"Only {row} days", 0.9)] for row in range(4)}
    context = Context(features=Read({**lines, 4: [("Imprint", 0.99)]}))
    assert label_all(labelled(PLAIN, context=context), HALVES) == [
        Label("summer sale", "text"),
        None,
    ]
    urls = [f"https://x/air-fryer-{n}.png" for n in range(4)] + PLAIN[4:]
    assert label_all(labelled(urls, context=context), HALVES)[0] == Label("air fryer", "names")


def test_a_doubtful_line_labels_nothing() -> None:
    context = Context(features=Read({row: [("SANYO", 0.6)] for row in range(4)}))
    assert label_all(labelled(PLAIN, context=context), HALVES) == [None, None]


def test_clusters_of_one_label_are_told_apart_by_colour_and_then_by_number() -> None:
    # The rest of the brand has other names, so "shoe" is rare there.
    vectors = np.zeros((32, 3))
    vectors[:8, 0] = 1
    vectors[8:, 1] = 1
    urls = [f"https://x/shoe{n}.png" for n in range(8)] + [f"https://x/{n}" for n in range(24)]
    one = snapshot_of(
        unit(vectors), phash=[0] * 32, colours=[(RED,)] * 4 + [(GREEN,)] * 4 + [()] * 24
    )
    one = replace(one, urls=urls)
    assert texts(label_all(one, HALVES)) == ["shoe", "shoe, green"]
    assert texts(label_all(replace(one, colours=[()] * 32), HALVES)) == ["shoe", "shoe 2"]


def test_a_colour_alone_is_no_label() -> None:
    coloured = labelled(PLAIN, colours=[(RED,)] * 4 + [(GREEN,)] * 4)
    assert label_all(coloured, HALVES) == [None, None]


class Text:
    """A text encoder of three directions; its scores are calibrated as they are."""

    model, dimension = "t", 3
    axes = ("dog", "cat", "bird")

    def __init__(self, image_model: str = "m") -> None:
        self.image_model = image_model

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array([[axis in text for axis in self.axes] for text in texts], np.float32)

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.clip(scores, 0, 1)


class ClassText(Text):
    """It knows no dogs, and graphics look like birds to it."""

    model = "limited"

    def known(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        return np.array(["dog" not in text for text in texts], np.float32)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        graphic = [[0, 0, 1] if "puck" in text or "maze" in text else None for text in texts]
        plain = super().encode(texts)
        return np.array([g or p for g, p in zip(graphic, plain.tolist(), strict=True)], np.float32)


def by_tags(text: Any, vectors: npt.NDArray[np.float64] | None = None) -> list[str | None]:
    vocabulary = parse_vocabulary("dog\ncat\nbird")
    snapshot = labelled(PLAIN, context=Context(text=text, vocabulary=lambda: vocabulary))
    if vectors is not None:
        snapshot = replace(snapshot, embeddings=unit(vectors))
    labels = label_all(snapshot, HALVES)
    assert all(label is None or label.origin == "tag" for label in labels)
    return texts(labels)


def test_without_a_phrase_the_tag_that_fits_is_the_label() -> None:
    def broken() -> None:
        raise ModelError("no such file")

    assert by_tags(Text) == ["dog", "cat"]
    assert by_tags(lambda: Text("another")) == [None, None]
    assert by_tags(broken) == [None, None]


def test_a_tag_that_fits_the_whole_brand_is_no_label() -> None:
    vectors = np.zeros((8, 3))
    vectors[:, 0] = 1
    vectors[:4, 1] = vectors[4:, 2] = 0.2
    assert by_tags(Text, vectors) == [None, None]


def test_a_tag_below_one_half_labels_a_cluster_if_it_beats_the_brand() -> None:
    vectors = np.zeros((8, 3))
    vectors[:4] = [0.4, 0, -0.9]
    vectors[4:] = [-0.3, 0, -0.9]
    assert by_tags(Text, vectors) == ["dog", None]


def test_what_the_encoder_does_not_know_and_graphics_have_no_label() -> None:
    assert by_tags(ClassText) == [None, "cat"]
    vectors = np.zeros((8, 3))
    vectors[:4, 1] = 1
    vectors[:4, 2] = 0.3
    vectors[4:, 0] = 1
    assert by_tags(Text, vectors)[0] == "cat"
    assert by_tags(ClassText, vectors)[0] is None


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_has_no_labels(count: int) -> None:
    snapshot = snapshot_of(unit(np.ones((count, 2))), phash=[0] * count)
    assert label_all(snapshot, []) == []


def test_the_result_says_what_labels_come_from() -> None:
    random = np.random.default_rng(1)
    centres = np.eye(3).repeat(40, axis=0) + random.normal(scale=0.02, size=(120, 3))
    urls = [f"https://x/{('teapot', 'chair', 'dsc')[n // 40]}-{n}.jpg" for n in range(120)]
    snapshot = replace(snapshot_of(unit(centres), phash=[0] * 120), urls=urls)
    clusters = find_clusters(snapshot).result["clusters"]
    said = {(one["label"], one["label_from"]) for one in clusters}
    assert said == {("teapot", "names"), ("chair", "names"), (None, None)}
