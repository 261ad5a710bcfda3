"""Pictures that are treated in another way than the rest of their brand."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from tests.support.file_features import FileFeatures, facts
from tests.support.snapshots import snapshot_of, unit
from triptych.ai.context import Context
from triptych.ai.steps.look.look import find_look
from triptych.ai.steps.look.treatments import find_treatments, judge
from triptych.media.file_facts import FileFacts

GREY = {"chroma": 0.3, "chroma_high": 0.8, "tones": 0.2}
DUOTONE = {"tones": 1.0, "chroma": 9.0, "border_chroma": 7.0}
FRAME = {"frame": 0.05, "frame_chroma": 20.0}


def usual(count: int) -> list[FileFacts]:
    """Pictures that vary as those of one brand do."""
    random = np.random.default_rng(0)
    return [
        facts(
            style={
                "lightness": random.normal(60, 6),
                "chroma": random.normal(8, 1),
                "chroma_high": random.normal(14, 2),
                "border_lightness": random.normal(80, 6),
            }
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize(
    ("style", "detail", "why"),
    [
        (GREY, 0.8, "black and white"),
        (DUOTONE, 0.8, "duotone"),
        (FRAME, 0.8, "framed"),
        ({"badge": 0.3}, 0.8, "badge in a corner"),
        ({}, 0.2, "blurred or enlarged"),
        ({"lightness": 5.0}, 0.8, "darker than the others"),
        ({"border_chroma": 20.0}, 0.8, "a more colourful border than the others"),
    ],
)
def test_a_rare_treatment_is_off_brand_and_says_why(
    style: Mapping[str, float], detail: float, why: str
) -> None:
    found = judge([*usual(60), facts(style=style, detail=detail)])
    assert [each.row for each in found] == [60]
    assert why in found[0].why
    assert found[0].score >= 0.5


def test_what_many_have_is_the_brands_style() -> None:
    framed = [facts(style=FRAME) for _ in range(10)]
    assert judge([*usual(60), *framed]) == []
    grey = [facts(style=GREY) for _ in range(60)]
    # In a brand without colours, black and white is not off brand.
    assert judge([*grey, *usual(0)]) == []


def test_a_thing_of_one_colour_on_white_is_no_duotone() -> None:
    style = {**DUOTONE, "border_chroma": 0.5}
    assert all("duotone" not in each.why for each in judge([*usual(60), facts(style=style)]))


def test_files_that_were_not_read_are_left_out_and_too_few_are_not_judged() -> None:
    known = {2 * row: each for row, each in enumerate(usual(30))}
    features = FileFeatures({**known, 61: None, 70: facts(style=FRAME)})
    found = find_treatments(features)
    assert found is not None
    assert [each.row for each in found] == [70]
    assert find_treatments(FileFeatures(dict(list(known.items())[:5]))) is None


def test_the_look_lists_and_marks_them_beside_the_outliers() -> None:
    count = 40
    known = dict(enumerate([*usual(count - 1), facts(style=FRAME)]))
    snapshot = snapshot_of(
        unit(np.eye(count, 8) + 0.1),
        phash=[0] * count,
        context=Context(features=FileFeatures(known)),
    )
    found = find_look(snapshot)
    assert found.result["treatment_count"] == 1
    assert found.result["treatments"] == [
        {"key": snapshot.key(count - 1), "score": 0.875, "why": ["framed"]}
    ]
    assert found.marks["treatment"] == [None] * (count - 1) + [["framed"]]
    alone = find_look(snapshot_of(unit(np.eye(count, 8) + 0.1), phash=[0] * count))
    assert (alone.result["treatments"], alone.result["treatment_count"]) == ([], None)
    assert "treatment" not in alone.marks
