"""`run_asset_step` runs an asset step as the AI phase does; `run_step` lets another read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from triptych.ai import asset_step
from triptych.ai.asset_step import AssetStep
from triptych.ai.step import Snapshot, Step
from triptych.testing.memory_stores import memory_stores
from triptych.testing.pictures import Picture
from triptych.testing.run_asset_step import run_asset_step
from triptych.testing.run_step import StepFailed, run_step

SIDE, BATCH = 16, 2


def grey(level: int, *, width: int = 40, height: int = 20, url: str = "") -> Picture:
    pixels = np.full((height, width, 3), level, np.uint8)
    return Picture(url or f"https://x.example/{level}", pixels=pixels)


class Means:
    """An asset step that remembers the shapes that it was given."""

    def __init__(self) -> None:
        self.calls: list[list[tuple[int, ...]]] = []
        self.step = AssetStep("mean", 1, SIDE, BATCH, self)

    def __call__(self, pictures: Sequence[asset_step.Picture]) -> Sequence[Mapping[str, Any]]:
        self.calls.append([picture.shape for picture in pictures])
        if any(picture.mean() == 13 for picture in pictures):
            raise ValueError("thirteen")
        return [{"mean": float(picture.mean())} for picture in pictures]


async def test_pictures_come_in_batches_and_small_enough() -> None:
    means = Means()
    pictures = [grey(1), grey(2), grey(3, width=8, height=16)]
    found = await run_asset_step(means.step, pictures)
    assert {url: each["mean"] for url, each in found.features.items()} == {
        picture.url: level for level, picture in enumerate(pictures, start=1)
    }
    assert [len(call) for call in means.calls] == [0, 2, 1]
    shapes = sorted(shape for call in means.calls for shape in call)
    assert shapes == [(8, 16, 3), (8, 16, 3), (16, 8, 3)]


async def test_it_goes_on_with_what_is_left_and_computes_a_content_once() -> None:
    means, stores = Means(), memory_stores()
    pictures = [grey(level) for level in range(5)] + [grey(0, url="https://x.example/same")]
    cut = await run_asset_step(means.step, pictures, stores=stores, batches=2)
    assert (cut.outcome.computed, cut.outcome.waiting) == (4, 1)
    rest = await run_asset_step(means.step, pictures, stores=stores)
    assert (rest.outcome.computed, rest.outcome.waiting) == (1, 0)
    assert rest.features.keys() == {picture.url for picture in pictures}
    means.calls.clear()
    again = await run_asset_step(means.step, pictures, stores=stores)
    assert again.features == rest.features
    assert means.calls == []


async def test_a_picture_that_fails_spoils_no_other_and_one_without_pixels_is_away() -> None:
    pictures = [grey(1), grey(13), Picture("https://x.example/away")]
    found = await run_asset_step(Means().step, pictures)
    assert found.features == {pictures[0].url: {"mean": 1.0}}
    assert found.errors == {pictures[1].url: "ValueError: thirteen"}
    assert (found.outcome.computed, found.outcome.failed, found.outcome.away) == (1, 1, 1)


async def test_a_step_that_cannot_begin_fails() -> None:
    def work(_: Sequence[asset_step.Picture]) -> Sequence[Mapping[str, Any]]:
        raise OSError("no model")

    with pytest.raises(StepFailed, match="OSError: no model"):
        await run_asset_step(AssetStep("broken", 1, SIDE, BATCH, work), [grey(1)])


async def test_a_brand_wide_step_reads_features_and_pixels() -> None:
    def work(snapshot: Snapshot) -> dict[str, Any]:
        context = snapshot.context
        outcome = context.features.outcome("mean")
        assert outcome is not None
        pixels = {url: context.pixels(row, 4) for row, url in enumerate(snapshot.urls)}
        return {
            "computed": outcome.computed,
            "means": {snapshot.urls[row]: f.result for row, f in context.features.read("mean")},
            "pixels": {url: None if p is None else p.shape for url, p in pixels.items()},
            "sizes": [int(snapshot.widths.max()), int(snapshot.heights.min())],
        }

    pictures = [grey(1, width=300), Picture("https://x.example/away")]
    found = await run_step(Step("reader", 1, work), pictures, asset_steps=[Means().step])
    assert found.result["computed"] == 1
    assert found.result["means"] == {pictures[0].url: {"mean": 1.0}}
    assert found.result["pixels"] == {pictures[0].url: [4, 4, 3], pictures[1].url: None}
    assert found.result["sizes"] == [300, 20]


@pytest.mark.parametrize(
    "pixels", [np.zeros((2, 2), np.uint8), np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2, 3))]
)
def test_pixels_of_another_form_are_refused(pixels: Any) -> None:
    with pytest.raises(ValueError, match=r"x\.example.*\(height, width, 3\)"):
        Picture("https://x.example/a", pixels=pixels)
