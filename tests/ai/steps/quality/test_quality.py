"""The step `quality`: faults of pictures, counted and named."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.file_features import FileFeatures, facts
from tests.support.snapshots import snapshot_of, unit
from triptych.ai.asset_step import discover_asset_steps
from triptych.ai.context import ALONE, Context
from triptych.ai.step import Snapshot, discover
from triptych.ai.steps.quality import quality
from triptych.ai.steps.quality.file_step import FILE_READING, keep
from triptych.ai.steps.quality.quality import QUALITY, find_faults
from triptych.features.feature_store import Feature, check_features
from triptych.features.file_feature import as_result, facts_of
from triptych.features.picture_quality import FAULTS, SMALL_SIDE, faults_of
from triptych.media.file_facts import FileFacts

LARGE = 1_000


def brand(count: int, context: Context, sides: list[int] | None = None) -> Snapshot:
    vectors = unit(np.eye(count, 8) + 0.1)
    return snapshot_of(vectors, phash=[0] * count, sides=sides or [LARGE] * count, context=context)


@pytest.mark.parametrize(
    ("of_file", "side", "expected"),
    [
        (facts(), LARGE, []),
        (facts(detail=0.2), LARGE, ["blurred"]),
        (facts(detail=0.38), LARGE, ["soft"]),
        (facts(detail=0.39), LARGE, []),
        (facts(blocks=1.8), LARGE, ["compressed"]),
        (facts(), SMALL_SIDE, []),
        (facts(), SMALL_SIDE - 1, ["small"]),
        (facts(detail=0.1, blocks=3.0), 100, ["blurred", "compressed", "small"]),
        (facts(), 0, []),
        (facts(detail=None, blocks=None), LARGE, []),
        (FileFacts(facts().style, None, facts().origin), 10, []),
    ],
)
def test_faults_follow_from_measures_and_size(
    of_file: FileFacts, side: int, expected: list[str]
) -> None:
    assert faults_of(of_file, side, side // 2) == expected
    assert set(expected) <= set(FAULTS)


def test_faults_are_counted_listed_and_marked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "LISTED_MAX", 2)
    known = {row: facts(detail=0.1) for row in range(3)} | {3: facts(), 4: None}
    snapshot = brand(7, Context(features=FileFeatures(known)), [100, *[LARGE] * 6])
    found = find_faults(snapshot)
    assert {**found.result, "faults": None} == {
        "on": True,
        "measured": 4,
        "unreadable": 1,
        "not_read_yet": 2,
        "with_faults": 3,
        "small_side": SMALL_SIDE,
        "faults": None,
    }
    blurred = found.result["faults"]["blurred"]
    assert (blurred["count"], blurred["share"]) == (3, 0.75)
    assert blurred["keys"] == sorted(map(snapshot.key, range(3)))[:2]
    assert found.result["faults"]["small"]["count"] == 1
    assert found.result["faults"]["compressed"] == {"count": 0, "share": 0, "keys": []}
    marks = found.marks["faults"]
    assert marks == [["blurred", "small"], ["blurred"], ["blurred"], [], None, None, None]


def test_without_the_reading_it_says_so_and_a_failure_is_shown() -> None:
    assert find_faults(brand(3, ALONE)).result == {"on": False}
    broken = Context(features=FileFeatures({}, error="Decoders do not start here."))
    assert find_faults(brand(3, broken)).result["problem"] == "Decoders do not start here."


def test_facts_are_kept_and_read_again_as_they_are() -> None:
    one = facts(copyright="© Acme", has_place=True, unreadable=["XMP"])
    (kept,) = keep([one])
    assert kept == as_result(one)
    feature = Feature(bytes(32), kept)
    check_features([feature])
    assert facts_of(feature) == one
    assert facts_of(Feature(bytes(32), None, "undecodable")) is None
    assert facts_of(None) is None


def test_it_is_installed() -> None:
    assert QUALITY in discover()
    assert FILE_READING in discover_asset_steps()
