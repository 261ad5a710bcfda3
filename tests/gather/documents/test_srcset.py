"""``srcset`` as browsers read it."""

from __future__ import annotations

import time

import pytest

from triptych.gather.documents.srcset import CANDIDATES_MAX, candidates, largest


@pytest.mark.parametrize(
    ("srcset", "best"),
    [
        ("a.jpg 100w, b.jpg 900w, c.jpg 300w", "b.jpg"),
        ("a.jpg, b.jpg 2x, c.jpg 1.5x", "b.jpg"),
        ("a.jpg", "a.jpg"),
        ("a.jpg,b.jpg 2x", "a.jpg,b.jpg"),
        ("a.jpg, b.jpg", "a.jpg"),
        ("https://c.example/w_100,h_50/a.jpg 100w, https://c.example/w_900,h_9/a.jpg 900w",
         "https://c.example/w_900,h_9/a.jpg"),
        ("  ,, a.jpg 1x ,, b.jpg 3x,", "b.jpg"),
        ("a.jpg (not, this) 2x, b.jpg 1x", "a.jpg"),
        ("a.jpg -5w, b.jpg 1e9w, c.jpg 7w", "c.jpg"),
        ("a.jpg 100w 50h, b.jpg 200w 99h", "b.jpg"),
    ],
)  # fmt: skip
def test_the_largest_candidate_is_the_best(srcset: str, best: str) -> None:
    found = largest(candidates(srcset))
    assert found is not None
    assert found.url == best


@pytest.mark.parametrize("srcset", ["", "  ", ",,,", "\n"])
def test_an_empty_set_offers_nothing(srcset: str) -> None:
    assert list(candidates(srcset)) == []
    assert largest(candidates(srcset)) is None


@pytest.mark.parametrize(
    "srcset",
    ["a " * 500_000, "," * 1_000_000, "a (" * 300_000, "a 1x," * 300_000, "(" * 900_000],
    ids=["words", "commas", "open brackets", "candidates", "brackets"],
)
def test_g8_a_hostile_set_ends_soon(srcset: str) -> None:
    begun = time.process_time()
    assert len(list(candidates(srcset))) <= CANDIDATES_MAX
    assert time.process_time() - begun < 2
