"""The page of figures is what the evals write, and every room has figures on it."""

from __future__ import annotations

from evals.__main__ import rooms
from evals.page import PAGE, Figure, Findings, kept, render


def test_the_page_is_as_the_figures_render_it() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(kept()), "run `python -m evals --page`"


def test_every_evaluation_has_figures_with_a_baseline() -> None:
    assert kept().keys() == rooms().keys()
    for findings in kept().values():
        assert findings.figures
        assert all(len(figure.values) > 1 for figure in findings.figures)


def test_a_table_begins_anew_with_other_systems() -> None:
    figures = [
        Figure("recall", {"ours": 0.9512, "theirs": 0.5}, "≥ 0.95"),
        Figure("rate", {"ours": 0.000012, "theirs": None}),
        Figure("pictures", {"ours": 12345, "other": 2}),
    ]
    page = render({"room": Findings("Title", "About.", figures)})
    assert (
        "| | ours | theirs | aim |\n|---|---|---|---|\n| recall | 0.951 | 0.500 | ≥ 0.95 |" in page
    )
    assert "| rate | 1.2e-05 | – |  |\n\n| | ours | other | aim |\n|---|---|---|---|\n" in page
    assert "| pictures | 12,345 | 2 |  |" in page


def test_an_aim_that_is_missed_is_listed_first() -> None:
    figures = [
        Figure("recall", {"ours": 0.89, "theirs": 0.99}, "≥ 0.9"),
        Figure("false pairs", {"ours": 0.0011, "theirs": 0.0}, "≤ 0.001"),
        Figure("people", {"ours": None, "theirs": 0.5}, "≥ 0.85"),
        Figure("reached", {"ours": 0.9, "theirs": 0.1}, "≥ 0.9"),
        Figure("kept apart", {"ours": 0.001, "theirs": 0.1}, "≤ 0.001"),
        Figure("compared", {"ours": 0.1, "theirs": 0.9}, "> theirs"),
    ]
    page = render({"room": Findings("Title", "About.", figures)})
    missed, _ = page.split("## Title")
    assert "| room | recall | 0.890 | ≥ 0.9 |" in missed
    assert "| room | false pairs | 0.001 | ≤ 0.001 |" in missed
    assert "| room | people | – | ≥ 0.85 |" in missed
    assert not any(what in missed for what in ("reached", "kept apart", "compared"))
