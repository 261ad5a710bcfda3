"""Where a part lies in a whole, as the coarse grid has it."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from PIL import Image

from triptych.ai.steps.duplicates import coarse_registration as coarse
from triptych.ai.steps.duplicates.coarse_registration import GRID, PEAKS, likeliest
from triptych.ai.steps.duplicates.views import SIDE, View, view

CELL = 1 / GRID


def picture(wide: int = 600, tall: int = 400) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (10, 15, 3), np.uint8)
    return Image.fromarray(noise).resize((wide, tall), Image.Resampling.BICUBIC)


def seen(image: Image.Image) -> View:
    return view(np.asarray(image.resize((SIDE, SIDE))), *image.size)


@pytest.mark.parametrize(
    ("left", "top", "wide", "tall"),
    [(0, 0, 0.6, 0.6), (0.4, 0.3, 0.6, 0.7), (0.1, 0.2, 0.8, 0.6), (0.25, 0.0, 0.5, 1.0)],
)
def test_a_crop_is_found_where_it_was_cut(
    left: float, top: float, wide: float, tall: float
) -> None:
    image = picture()
    width, height = image.size
    part = image.crop(
        (
            round(left * width),
            round(top * height),
            round((left + wide) * width),
            round((top + tall) * height),
        )
    )
    found = likeliest(seen(part), seen(image))
    assert len(found) == PEAKS
    # Scales are five in a hundred apart, so a side is half of that off, and a cell.
    assert found[0] == pytest.approx((wide, left, top), abs=CELL + wide * 0.025)


def test_a_part_too_slender_to_be_sought_is_nowhere() -> None:
    assert likeliest(seen(picture(600, 60)), seen(picture(60, 600))) == []


def test_nothing_is_kept_of_views_that_are_gone() -> None:
    before = len(coarse._parts), len(coarse._wholes)
    part, whole = seen(picture()), seen(picture(500, 500))
    likeliest(part, whole)
    assert (len(coarse._parts), len(coarse._wholes)) == (before[0] + 1, before[1] + 1)
    del part, whole
    gc.collect()
    assert (len(coarse._parts), len(coarse._wholes)) == before
