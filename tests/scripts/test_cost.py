"""The page on cost says what the script computes."""

from __future__ import annotations

from pathlib import Path

from scripts import cost

PAGE = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"


def test_the_page_has_the_tables() -> None:
    text = PAGE.read_text(encoding="utf-8")
    shown = text.partition("<!-- cost -->\n")[2].partition("\n<!-- end -->")[0]
    assert shown == cost.tables(), "run `python -m scripts.cost`"


def test_full_requests_cost_a_tenth() -> None:
    assert cost.sqs_requests(1000) < 0.4 * 1000
