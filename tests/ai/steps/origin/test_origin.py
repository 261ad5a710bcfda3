"""The step `origin`: what files say of rights and origin, counted."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.file_features import FileFeatures, facts
from tests.support.snapshots import snapshot_of, unit
from triptych.ai.context import ALONE, Context
from triptych.ai.step import Snapshot, discover
from triptych.ai.steps.origin import origin
from triptych.ai.steps.origin.origin import ORIGIN, find_origin


def brand(count: int, context: Context) -> Snapshot:
    return snapshot_of(unit(np.eye(count, 8) + 0.1), phash=[0] * count, context=context)


def test_what_files_say_is_counted() -> None:
    known = {
        0: facts(copyright="© Acme", creator="Ada", has_place=True),
        1: facts(copyright="© Acme", licence="https://example.com"),
        2: facts(creator="Bob", source_type="trainedAlgorithmicMedia"),
        3: facts(source_type="digitalCapture", has_content_credentials=True),
        4: facts(unreadable=["XMP"]),
        5: None,
    }
    snapshot = brand(8, Context(features=FileFeatures(known)))
    assert find_origin(snapshot) == {
        "on": True,
        "read": 5,
        "unreadable": 1,
        "not_read_yet": 2,
        "silent": 2,
        "copyright": 2,
        "creator": 2,
        "credit": 0,
        "licence": 1,
        "content_credentials": 1,
        "broken": 1,
        "place": {"count": 1, "keys": [snapshot.key(0)]},
        "generated": {"count": 1, "keys": [snapshot.key(2)]},
        "source_types": [
            {"name": "digitalCapture", "pictures": 1},
            {"name": "trainedAlgorithmicMedia", "pictures": 1},
        ],
        "creators": [{"name": "Ada", "pictures": 1}, {"name": "Bob", "pictures": 1}],
        "copyrights": [{"name": "© Acme", "pictures": 2}],
    }


def test_rare_names_are_dropped_before_frequent_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(origin, "DISTINCT_MAX", 4)
    names = ["often", "often", "a", "b", "c", "d", "e", "often"]
    known = {row: facts(creator=name) for row, name in enumerate(names)}
    creators = find_origin(brand(8, Context(features=FileFeatures(known))))["creators"]
    assert creators[0] == {"name": "often", "pictures": 3}


def test_without_the_reading_it_says_so() -> None:
    assert find_origin(brand(3, ALONE)) == {"on": False}
    broken = Context(features=FileFeatures({}, error="Decoders do not start here."))
    assert find_origin(brand(3, broken))["problem"] == "Decoders do not start here."


def test_it_is_installed() -> None:
    assert ORIGIN in discover()
