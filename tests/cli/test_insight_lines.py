"""A line for each insight: the figures of Triptych's own steps, in words."""

from __future__ import annotations

from typing import Any

from triptych.cli.insight_lines import print_insights
from triptych.cli.tables import console
from triptych.model import AiState, Insight


def lines(kind: str, result: dict[str, Any]) -> str:
    with console.capture() as captured:
        print_insights("nike", AiState.DONE, [Insight(kind, result, None, 1.0)], verbose=False)
    return captured.get().splitlines()[1].strip()


def test_people_are_counted_in_words() -> None:
    result = {"on": True, "looked_at": 7, "none": 4, "one": 1, "group": 2, "close_up": 1}
    assert lines("people", {**result, "shares": {}, "examples": {}}) == (
        "people  4 pictures without people · 1 with one person · 2 with a group · 1 close-up"
    )


def test_what_is_off_names_its_setting() -> None:
    assert lines("people", {"on": False}) == "people  off (TRIPTYCH_PEOPLE)"
    assert lines("text", {"on": False}) == "text  off (TRIPTYCH_OCR)"
    assert lines("alt_text", {"on": False}) == "alt_text  the list has no alt texts"
    assert lines("quality", {"on": False}) == "quality  files are not read here"
    assert lines("origin", {"on": False}) == "origin  files are not read here"
