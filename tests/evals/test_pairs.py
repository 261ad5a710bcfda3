"""Pairs are judged by what is true of them: copies, siblings, and pictures that show two."""

from __future__ import annotations

import io

import numpy as np
import pytest
from evals.pairs import Shown, edited, spread
from evals.verdicts import Verdict, Verdicts
from PIL import Image, ImageDraw

from evals import pairs
from triptych.ai.step import Snapshot


def _body(colour: str) -> bytes:
    image = Image.new("RGB", (64, 64), "white")
    ImageDraw.Draw(image).rectangle((8, 8, 40, 40), fill=colour)
    body = io.BytesIO()
    image.save(body, "PNG")
    return body.getvalue()


PICTURES = [
    Shown(_body("red"), "one", "family"),
    Shown(_body("blue"), "two", "family"),
    Shown(_body("green"), "three"),
    Shown(_body("#ee0000"), "one", "family", "mirrored"),
    Shown(_body("#0000ee"), "two", "family", "mirrored"),
    Shown(_body("#00ee00"), "three", "", "collage of two", beside="two"),
]
JOINED = ((0, 3), (0, 1), (2, 1), (5, 1))
"""A copy found, a sibling and another picture called copies, and one that shows both."""


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> None:
    def verdicts(snapshot: Snapshot) -> Verdicts:
        found = np.zeros((len(snapshot), len(snapshot)), np.uint8)
        for one, other in JOINED:
            found[one, other] = found[other, one] = Verdict.COPY
        found[0, 4] = found[4, 0] = Verdict.VARIANT
        return found

    monkeypatch.setattr(pairs, "verdicts", verdicts)


@pytest.mark.usefixtures("said")
def test_what_is_said_is_compared_with_what_is_true() -> None:
    figures = pairs.compare("set", PICTURES, "colours")
    ours = {figure.what: figure.values[pairs.OURS] for figure in figures}
    assert ours == {
        "set: recall, mirrored": 0.5,
        "set: recall, collage of two": 0.0,
        # Fifteen pairs, less three copies; a collage's pairs with its second picture do not count.
        "set: false pairs of 10": 2,
        "set: false pairs, share": 0.2,
        "set: of those, colours, of 4": 1,
    }
    aims = {figure.what: figure.aim for figure in figures}
    assert aims["set: recall, mirrored"] == "≥ 0.9"
    assert aims["set: false pairs, share"] == "≤ 0.001"


def test_an_edit_keeps_what_is_true_of_its_picture() -> None:
    one, other = PICTURES[0], PICTURES[2]
    made = list(edited(one, other, {"mirrored": lambda a, b: b"m", "in a page": lambda a, b: b"p"}))
    assert made == [
        Shown(b"m", "one", "family", "mirrored"),
        Shown(b"p", "one", "family", "in a page", "three"),
    ]


def test_some_pictures_are_taken_from_the_whole_list() -> None:
    assert [one.body for one, _ in spread(PICTURES, 2)] == [PICTURES[0].body, PICTURES[3].body]
