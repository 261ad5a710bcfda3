"""The pages of a site that are known: their order, their limits, and their cursor."""

from __future__ import annotations

import base64
import zlib

import pytest

from triptych.errors import SourceRefused
from triptych.gather import page_queue
from triptych.gather.page_queue import PageQueue

START = "https://a.example/"


def queue(pages: int = 10, depth: int = 2) -> PageQueue:
    made = PageQueue(pages, depth)
    made.begin(START)
    return made


def urls(made: PageQueue) -> list[str]:
    return [made[at].removeprefix(START) for at in range(len(made))]


def links(*names: str) -> list[str]:
    return [START + name for name in names]


def test_pages_are_in_the_order_of_their_depth_each_once() -> None:
    made = queue()
    made.add(links("a", "b", "", "a"), found_at=0)
    made.add(links("c", "b"), found_at=1)
    made.add(links("d", "c"), found_at=2)
    assert urls(made) == ["", "a", "b", "c", "d"]
    assert [made.depth(at) for at in range(5)] == [0, 1, 1, 2, 2]


def test_what_is_beyond_a_limit_is_counted() -> None:
    made = queue(pages=4, depth=2)
    made.add(links("a", "b"), found_at=0)
    made.add(links("c", "d", "e"), found_at=1)
    assert urls(made) == ["", "a", "b", "c"]
    assert (made.too_many, made.too_deep) == (2, 0)
    made.add(links("x", "a"), found_at=3)
    assert (made.too_many, made.too_deep) == (2, 1)


def test_a_cursor_has_everything() -> None:
    made = queue()
    made.add(links("a", "ü?x=1"), found_at=0)
    made.know(f"{START}other")
    again = queue()
    again.unpack(*made.packed())
    assert urls(again) == urls(made)
    assert f"{START}other" in again
    assert again.packed() == made.packed()
    again.add(links("other", "c"), found_at=2)
    assert urls(again)[-1] == "c"
    assert again.depth(3) == 2


@pytest.mark.parametrize(
    ("text", "ends"),
    [("", []), ("{{{", [1]), ("\u00fc", [1]), ("good", [7]), ("good", [3, 2]), ("bomb", [1])],
)
def test_g8_a_cursor_that_is_none_is_refused(
    text: str, ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page_queue, "UNPACKED_MAX_BYTES", 1000)
    made = queue()
    made.add(links("a"), found_at=0)
    bomb = base64.b85encode(zlib.compress(b"x" * 100_000)).decode()
    given = {"good": made.packed()[0], "bomb": bomb}.get(text, text)
    with pytest.raises(SourceRefused, match="no list of pages"):
        queue().unpack(given, ends, "")
