"""Phrases: the longest common one, without what tools append, and only if it belongs to the
cluster."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from triptych.ai.points import Indices
from triptych.ai.steps.clusters.shared_phrases import file_name, shared_phrases, singular


def alike(_family: Indices, _others: Indices) -> float:
    return 1.0


def unlike(_family: Indices, _others: Indices) -> float:
    return 0.0


def phrase(texts: Sequence[str], others: int = 20) -> str | None:
    """Return the phrase of a cluster with these texts, in a brand with ``others`` more pictures."""
    everything = [(text,) for text in texts] + [(f"other{n}",) for n in range(others)]
    (found,) = shared_phrases(everything, [np.arange(len(texts))], alike)
    return None if found is None else found.text


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        (["air-fryer-4l", "air_fryer_6l_black", "AIR FRYER basket"], "air fryer"),
        (["Air fryers", "air fryer", "an air fryer"], "air fryer"),
        (["Woman in a red dress", "woman in a red dress 2", "x"], "woman in a red dress"),
        (["strawberries", "strawberry", "Strawberries"], "strawberries"),
        (["sneaker12", "sneaker07", "sneaker"], "sneaker"),
        (["house-min", "barn-min", "hut-min"], None),
        (["a-thumb", "b-thumb", "c-thumb"], None),
        (["IMG_2024_01", "IMG_2024_02", "IMG_2023_01"], None),
        (["a@2x-scaled-1024x768", "b@2x-scaled-1024x768", "c-final-copy-web-large"], None),
        (["ab12-black_main", "ab13-black_main", "ab14-black_main"], None),
        (["5f3a9c01de", "5f3a9c01df", "5f3a9c01aa"], None),
        (["100", "100", "100"], None),
        (["red", "red", "red"], None),
        (["red kettle", "red kettle", "red kettle"], "red kettle"),
        (["tea", "coffee", "milk"], None),
    ],
)
def test_the_longest_common_phrase_is_found(texts: list[str], label: str | None) -> None:
    assert phrase(texts) == label


def test_a_longer_phrase_of_few_members_gives_way() -> None:
    texts = ["steel air fryer"] * 6 + ["white air fryer"] * 4
    assert phrase(texts) == "air fryer"
    assert phrase(["steel air fryer"] * 9 + ["white air fryer"]) == "steel air fryer"


def test_what_the_whole_brand_is_called_is_no_label() -> None:
    texts = [(f"acme teapot {n}",) for n in range(5)] + [(f"acme pan {n}",) for n in range(5)]
    found = shared_phrases(texts, [np.arange(5), np.arange(5, 10)], alike)
    assert [each and each.text for each in found] == ["acme teapot", "acme pan"]
    texts = [("acme",)] * 10
    assert shared_phrases(texts, [np.arange(5), np.arange(5, 10)], alike) == [None, None]


def test_a_prefix_of_pictures_that_look_different_is_no_label() -> None:
    # All files of one photographer, among four times as many others.
    texts = [("hugin castle",)] * 3 + [("hugin x",)] * 9 + [(f"other{n}",) for n in range(40)]
    family = [np.array([0, 1, 3, 4])]
    assert shared_phrases(texts, family, unlike) == [None]
    (found,) = shared_phrases(texts, family, alike)
    assert found is not None
    assert (found.text, found.members) == ("hugin", 4)


def test_members_beyond_those_examined_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.ai.steps.clusters.shared_phrases.SEEN_MAX", 3)
    texts = [("teapot",)] * 3 + [(f"cup{n}",) for n in range(7)] + [(f"x{n}",) for n in range(20)]
    assert shared_phrases(texts, [np.arange(10)], alike) == [None]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://x/a/Caf%C3%A9-RACER_final_0012.JPG?x=shoe", "Café-RACER_final_0012"),
        ("https://x/a.b/air.fryer", "air.fryer"),
        ("https://x/", ""),
        ("http://[broken/shoe.png", ""),
    ],
)
def test_names_of_files_come_from_the_path(url: str, name: str) -> None:
    assert file_name(url) == name


def test_plurals_are_folded_and_other_words_are_kept() -> None:
    words = ["boxes", "dresses", "watches", "berries", "shoes", "glass", "bus", "tennis", "gas"]
    assert [singular(word) for word in words] == [
        *("box", "dress", "watch", "berry", "shoe", "glass", "bus", "tennis", "gas"),
    ]
