"""The step `look`: palette, kinds, coherence, outliers with their reasons, and what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw

from tests.support.snapshots import shuffled, snapshot_of, unit
from triptych.ai.colour_words import WORDS, places, words
from triptych.ai.context import ALONE, Context, Earlier, OtherBrand
from triptych.ai.step import Snapshot
from triptych.ai.steps.look import coherence
from triptych.ai.steps.look import picture_kinds as kinds_room
from triptych.ai.steps.look.look import LOOK, find_look
from triptych.ai.steps.look.palette import distance, find_palette
from triptych.ai.steps.look.picture_kinds import KINDS, measures
from triptych.model import Asset, Colour

SIDE = 64
BLUE, WHITE, MAGENTA = Colour(0x1746E0, 0.6), Colour(0xFFFFFF, 0.4), Colour(0xE212E0, 0.9)


def photograph(seed: int) -> npt.NDArray[np.uint8]:
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 255, (6, 6, 3), np.uint8))
    smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.int16)
    return np.clip(smooth + random.normal(0, 5, smooth.shape), 0, 255).astype(np.uint8)


def logo(seed: int) -> npt.NDArray[np.uint8]:
    image = Image.new("RGB", (4 * SIDE, 4 * SIDE), "white")
    draw = ImageDraw.Draw(image)
    for stripe in range(12):
        draw.rectangle((40 + 16 * stripe, 40, 46 + 16 * stripe, 216), fill=(10, 10, 10))
    draw.ellipse((60 + seed, 60, 190, 190), outline=(10, 10, 10), width=6)
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.LANCZOS))


def packshot(seed: int) -> npt.NDArray[np.uint8]:
    """A shaded thing with some texture, in the middle of a plain grey ground."""
    random = np.random.default_rng(seed)
    shown = np.full((SIDE, SIDE, 3), 200 + seed, np.uint8)
    thing = photograph(seed)[14:50, 14:50].astype(np.int16) // 2 + random.integers(0, 90, 3)
    shown[14:50, 14:50] = np.clip(thing, 0, 255)
    return shown


class Pictures:
    """Photographs for the even rows, logos for the odd ones; one cannot be read."""

    def __init__(self, missing: int = -1) -> None:
        self.asked: list[int] = []
        self._missing = missing

    def __call__(self, row: int, side: int) -> npt.NDArray[np.uint8] | None:
        self.asked.append(row)
        assert side == SIDE
        if row == self._missing:
            return None
        return photograph(row) if row % 2 == 0 else logo(row % 9)


def brand(
    count: int, *, off: Sequence[int] = (), context: Context = ALONE, halves: bool = False
) -> Snapshot:
    """Pictures much alike, but those ``off``; with ``halves`` the odd rows lie apart."""
    random = np.random.default_rng(0)
    base = random.normal(size=(3, 48))
    vectors = base[0] + 0.35 * random.normal(size=(count, 48))
    if halves:
        vectors[1::2] += base[1] - base[0]
    vectors[list(off)] = base[2] + 0.35 * random.normal(size=(len(off), 48))
    colours: list[tuple[Colour, ...]] = [(BLUE, WHITE)] * count
    for row in off:
        colours[row] = (MAGENTA,)
    snapshot = snapshot_of(unit(vectors), phash=[0] * count, colours=colours, context=context)
    return replace(snapshot, heights=np.full(count, 75))


def result(snapshot: Snapshot) -> dict[str, Any]:
    return dict(find_look(snapshot).result)


def test_the_palette_has_the_brands_colours_and_words_for_them() -> None:
    snapshot = brand(200, off=[3])
    palette = find_palette(snapshot)
    assert [(c["colour"], c["word"]) for c in palette] == [
        ("#1746e0", "blue"),
        ("#ffffff", "white"),
    ]
    assert [c["share"] for c in palette] == pytest.approx([0.6, 0.4], abs=0.01)
    order = np.random.default_rng(1).permutation(200)
    assert find_palette(shuffled(snapshot, order)) == palette
    assert find_palette(snapshot_of(unit(np.ones((1, 2))), phash=[0])) == []


def test_shades_that_look_the_same_are_one_colour() -> None:
    shades = [(Colour(0x1746E0 + step, 0.9), Colour(0xE8151B, 0.1)) for step in range(12)]
    vectors = unit(np.random.default_rng(0).normal(size=(12, 4)))
    palette = find_palette(snapshot_of(vectors, phash=[0] * 12, colours=shades))
    assert [c["word"] for c in palette] == ["blue", "red"]
    assert palette[1]["share"] == pytest.approx(0.1)


def test_words_are_the_nearest_to_the_eye() -> None:
    assert words(places(list(WORDS.values()))) == list(WORDS)
    assert words(places([0xFF0000, 0x0000FF, 0x010203, 0xFDFDFD])) == [
        "red",
        "blue",
        "black",
        "white",
    ]


def test_palettes_are_as_far_apart_as_colours_have_to_be_moved() -> None:
    black, white = {"colour": "#000000", "share": 0.5}, {"colour": "#ffffff", "share": 0.5}
    assert distance([black, white], [white, black]) == pytest.approx(0, abs=1e-9)
    assert distance([black], [white]) == pytest.approx(1, abs=0.01)
    assert distance([black, white], [white]) == pytest.approx(0.5, abs=0.01)


def test_kinds_are_told_by_how_pictures_are_made_up() -> None:
    for seed in range(20):
        for kind, drawn in (
            ("photograph", photograph),
            ("packshot", packshot),
            ("logo", logo),
        ):
            found = kinds_room.weights().kind(measures(drawn(seed)))
            assert KINDS[found] == kind
    blank = measures(np.full((SIDE, SIDE, 3), 255, np.uint8))
    assert np.isfinite(blank).all()


def test_a_packshots_border_is_of_one_colour() -> None:
    border = kinds_room.MEASURES.index("border")
    assert measures(packshot(0))[border] < 1
    assert measures(photograph(0))[border] > 7
    shape = kinds_room.weights().linear.shape
    assert shape == kinds_room.weights().squared.shape == (len(KINDS), len(kinds_room.MEASURES))


def test_of_a_large_brand_a_sample_is_looked_at_and_the_rest_is_learnt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kinds_room, "LOOKED_MAX", 40)
    pictures = Pictures()
    snapshot = brand(300, halves=True, context=Context(pixels=pictures))
    found = find_look(snapshot)
    assert len(pictures.asked) == found.result["kinds_seen"] == 40
    truth = ["photograph" if row % 2 == 0 else "logo" for row in range(300)]
    right = [mark == kind for mark, kind in zip(found.marks["look"], truth, strict=True)]
    assert np.mean(right) > 0.95
    counts = {name: entry["count"] for name, entry in found.result["kinds"].items()}
    assert sum(counts.values()) == 300


def test_what_cannot_be_read_and_has_no_embedding_is_of_no_known_kind() -> None:
    snapshot = brand(20, context=Context(pixels=Pictures(missing=6)))
    without = replace(snapshot, embeddings=snapshot.embeddings[:0], embedded=snapshot.embedded[:0])
    found = find_look(without)
    assert found.marks["look"][6] is None
    assert list(found.marks["look"]).count(None) == 1
    assert found.result["kinds"]["logo"] == {"count": 10, "share": pytest.approx(10 / 19, abs=1e-3)}
    assert (found.result["coherence"], found.result["outliers"]) == (None, [])
    assert "outlier" not in found.marks


def test_what_does_not_look_like_the_brand_is_named_with_the_reasons() -> None:
    snapshot = brand(120, off=[17], context=Context(pixels=Pictures()))
    snapshot = replace(snapshot, widths=np.where(np.arange(120) == 17, 900, 100))
    found = find_look(snapshot)
    assert found.result["outliers"][0]["key"] == snapshot.key(17)
    why = "; ".join(found.result["outliers"][0]["why"])
    assert "is usual" in why
    assert "90% magenta" in why
    assert "12.0 times as wide as high" in why
    scores = np.array(found.marks["outlier"], float)
    assert scores.argmax() == 17
    assert scores.max() < 1
    assert np.median(scores) < 0.2
    assert 1 <= found.result["outlier_count"] <= 3


def test_a_brand_of_like_pictures_is_coherent_and_one_of_unlike_ones_is_not() -> None:
    alike = result(brand(60))["coherence"]
    random = np.random.default_rng(0)
    mixed = snapshot_of(unit(random.normal(size=(60, 48))), phash=[0] * 60)
    unlike = result(mixed)["coherence"]
    assert alike["score"] > 0.8
    assert unlike["score"] == 0
    exact = mixed.embeddings.astype(np.float64) @ mixed.embeddings.astype(np.float64).T
    assert unlike["cosine"] == pytest.approx((exact.sum() - np.trace(exact)) / (60 * 59), abs=1e-3)
    assert (unlike["baseline"], unlike["brands"]) == (coherence.BASELINE, 0)
    assert unlike["percentile"] is None
    assert unlike["sentence"].startswith("There are 0 other brands to compare with")


class Others:
    """Brands of two cells each, whose pictures all have a cosine of a half with the axis."""

    def brands(self) -> Iterable[OtherBrand]:
        direction = np.zeros((2, 48), np.float32)
        direction[:, 0] = 1
        for number in range(5):
            yield OtherBrand(
                f"b{number}", uuid4(), direction, np.full(2, 0.5), np.array([30.0, 10.0])
            )

    def assets(self, brand: OtherBrand, limit: int) -> Iterable[Sequence[Asset]]:
        return ()


def test_where_other_brands_are_known_coherence_is_measured_against_them() -> None:
    vectors = np.zeros((10, 48))
    vectors[:, 0] = 1
    snapshot = snapshot_of(unit(vectors), phash=[0] * 10, context=Context(others=Others()))
    found = result(snapshot)["coherence"]
    sentence = "Its pictures are more alike than those of 100 % of 5 other brands."
    assert found == {
        "score": 1.0,
        "cosine": 1.0,
        "baseline": 0.5,
        "brands": 5,
        "percentile": 100,
        "sentence": sentence,
    }
    varied = snapshot_of(unit(np.eye(48)[:10]), phash=[0] * 10, context=Context(others=Others()))
    found = result(varied)["coherence"]
    assert found["percentile"] == 0
    assert (
        found["sentence"] == "Its pictures are more varied than those of 100 % of 5 other brands."
    )


def test_the_coherence_of_another_brand_follows_from_its_mean() -> None:
    vectors = unit(np.random.default_rng(2).normal(size=(20, 48)) + 0.5).astype(np.float64)
    mean = vectors.mean(axis=0)
    length = np.linalg.norm(mean)
    direction = (mean / length)[None].astype(np.float32)
    other = OtherBrand("b", uuid4(), direction, np.array([length]), np.array([20.0]))
    cosines = vectors @ vectors.T
    exact = (cosines.sum() - np.trace(cosines)) / (20 * 19)
    assert coherence.cosine_of(other) == pytest.approx(exact, abs=1e-3)


def test_the_change_against_the_snapshot_before_is_told() -> None:
    before = brand(100, context=Context(pixels=Pictures()))
    first = find_look(before)
    published = {**first.result, "assets": 100, "sampled": False}
    earlier = Earlier(before.keys, first.marks, {"look": published})
    assert first.result["change"] is None
    now = brand(130, off=range(100, 130), context=Context(earlier=earlier, pixels=Pictures()))
    change = result(replace(now, keys=now.keys))["change"]
    assert (change["added"], change["removed"]) == (30, 0)
    assert change["palette"] > 0.05
    assert change["coherence"] < 0
    same = result(replace(before, context=Context(earlier=earlier, pixels=Pictures())))["change"]
    assert same == {
        "added": 0,
        "removed": 0,
        "palette": 0.0,
        "coherence": 0.0,
        "kinds": {"photograph": 0.0, "packshot": 0.0, "drawing": 0.0, "logo": 0.0},
    }
    fewer = Earlier(before.keys[:50], {}, {"look": published})
    unknown = result(replace(before, context=Context(earlier=fewer)))["change"]
    assert "added" not in unknown


def test_shapes_and_ratios_are_counted() -> None:
    snapshot = replace(
        brand(4), widths=np.array([160, 90, 100, 101]), heights=np.array([90, 160, 100, 100])
    )
    found = result(snapshot)
    assert {name: entry["count"] for name, entry in found["shapes"].items()} == {
        "square": 2,
        "landscape": 1,
        "portrait": 1,
    }
    assert found["ratios"] == {"1:1": 0.5, "16:9": 0.25, "9:16": 0.25}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_a_brand_of_next_to_nothing_has_a_look(count: int) -> None:
    snapshot = brand(count, context=Context(pixels=Pictures()))
    found = find_look(snapshot)
    assert found.result["outliers"] == []
    assert (found.result["coherence"] is None) == (count < 2)
    assert LOOK.run is find_look
