"""The step `alt_text`, and where alt texts are found."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.snapshots import snapshot_of, unit
from triptych.ai.alt_texts import TEXT_MAX_CHARS, alt_text_of
from triptych.ai.step import discover
from triptych.ai.steps.alt_text import alt_text
from triptych.ai.steps.alt_text.alt_text import ALT_TEXT, audit, is_file_name


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ({"alt": " A red\nshoe "}, "A red shoe"),
        ({"g:Alt_Text": "A shoe"}, "A shoe"),
        ({"image alt text": ""}, ""),
        ({"alt": None}, ""),
        ({"alt": None, "image_alt": "A shoe"}, "A shoe"),
        ({"title": "A shoe"}, None),
        ({"alt": 7}, None),
        ({"alt": "x" * 1_000}, "x" * TEXT_MAX_CHARS),
    ],
)
def test_alt_texts_are_found_in_fields_of_that_name(
    metadata: dict[str, Any], expected: str | None
) -> None:
    assert alt_text_of(metadata) == expected


@pytest.mark.parametrize(
    ("text", "url", "expected"),
    [
        ("IMG_1234", "https://x/a", True),
        ("red-shoe.jpg", "https://x/other.png", True),
        ("red-shoe-2", "https://x/red-shoe-2.png?w=1", True),
        ("red shoe.png", "https://x/red%20shoe.png", True),
        ("shoe", "https://x/shoe.png", False),
        ("A red shoe", "https://x/shoe.png", False),
        ("A shoe", "https://[", False),
    ],
)
def test_file_names_are_told_from_texts(text: str, url: str, expected: bool) -> None:
    assert is_file_name(text, url) is expected


def test_faults_are_counted_and_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alt_text, "LISTED_MAX", 2)
    texts = ["Shoe", "shoe", "Shoe", "Hat", "Hat", "Hat", None, "", "IMG_1", "A blue coat"]
    # The hats are one picture under three URLs: one text for it is right.
    contents = [0, 1, 2, 3, 3, 3, 6, 7, 8, 9]
    snapshot = snapshot_of(unit(np.eye(10, 12) + 0.1), phash=[0] * 10, contents=contents)
    snapshot = replace(snapshot, alt_texts=texts)
    assert audit(snapshot) == {
        "on": True,
        "with_text": 8,
        "missing": {"count": 2, "keys": sorted([snapshot.key(6), snapshot.key(7)])},
        "same": {"count": 3, "keys": sorted(map(snapshot.key, range(3)))[:2]},
        "file_name": {"count": 1, "keys": [snapshot.key(8)]},
        "shared": [{"text": "Shoe", "pictures": 3}],
    }


def test_a_source_without_alt_texts_is_not_blamed() -> None:
    snapshot = snapshot_of(unit(np.eye(3)), phash=[0] * 3)
    assert audit(snapshot) == {"on": False}
    assert audit(replace(snapshot, alt_texts=[None] * 3)) == {"on": False}


def test_it_is_installed() -> None:
    assert ALT_TEXT in discover()
