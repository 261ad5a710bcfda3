"""The closing summary: what came out, beside what had to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from demo.world import Expectation
from triptych.model import AiState, Insight, Run, RunState

SHOWN = 12
"""Brands shown one by one; the others are in the totals."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One brand, as it ended and as it had to."""

    run: Run
    insights: Sequence[Insight]
    contents: int
    """Different images among the committed assets."""
    expectation: Expectation

    def mismatches(self) -> list[str]:
        """Say in words what is not as it had to be."""
        run, wanted = self.run, self.expectation
        reasons = {reason.value: count for reason, count in wanted.failed.items()}
        checks: list[tuple[str, object, object]] = [
            ("state", run.state.value, RunState.COMMITTED.value),
            ("expected", run.expected, wanted.expected),
            ("done", run.done, wanted.done),
            ("failed", dict(run.reasons), reasons),
            ("added", run.added, wanted.done),
            ("different images", self.contents, wanted.contents),
            ("AI", run.ai_state.value, AiState.DONE.value),
            (
                "exact duplicates",
                self.count("duplicates", "exact_redundant"),
                wanted.done - wanted.contents,
            ),
        ]
        return [
            f"{run.brand}: {what} is {found}, not {right}"
            for what, found, right in checks
            if found != right
        ]

    def count(self, kind: str, name: str) -> int:
        """Return a figure of one of the AI steps; -1 if the step failed."""
        for insight in self.insights:
            if insight.kind == kind and insight.result is not None:
                return int(insight.result[name])
        return -1


def print_summary(outcomes: Sequence[Outcome], seconds: float, console: Console) -> None:
    """Print the brands, the totals, and what was proven by them."""
    ordered = sorted(outcomes, key=lambda o: (-o.run.expected, o.run.brand))
    table = Table(box=None, pad_edge=False, title="\nThe largest brands", title_justify="left")
    for name in ("brand", "URLs", "assets", "failed", "images", "alike", "clusters"):
        table.add_column(name, justify="left" if name == "brand" else "right")
    for outcome in ordered[:SHOWN]:
        run = outcome.run
        table.add_row(
            run.brand,
            str(run.expected),
            f"[green]{run.done}[/]",
            f"[red]{run.failed}[/]" if run.failed else "0",
            str(outcome.contents),
            str(outcome.count("duplicates", "redundant")),
            str(outcome.count("clusters", "cluster_count")),
        )
    console.print(table)
    if len(ordered) > SHOWN:
        console.print(f"… and {len(ordered) - SHOWN} more", style="dim")
    _print_totals(outcomes, seconds, console)


def _print_totals(outcomes: Sequence[Outcome], seconds: float, console: Console) -> None:
    runs = [outcome.run for outcome in outcomes]
    expected, done = sum(run.expected for run in runs), sum(run.done for run in runs)
    reasons = Counter[str]()
    for run in runs:
        reasons.update(run.reasons)
    images = sum(outcome.contents for outcome in outcomes)
    alike = sum(outcome.count("duplicates", "redundant") for outcome in outcomes)
    console.print(
        f"\n[bold]{len(runs)} brands, {expected:,} URLs, {done:,} assets[/] in {seconds:.1f} s, "
        f"{expected / seconds:.0f} URLs/s through all three phases."
    )
    console.print(f"  {images:,} different images stored once each, {alike:,} assets look alike.")
    listed = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    console.print(f"  {sum(reasons.values())} URLs failed, each for its reason: {listed}.")
    console.print(
        "  A 429 was waited out, a 503 tried again, redirects followed, slow bodies read, "
        "broken pages of the stores asked for again."
    )


def print_verdict(mismatches: Sequence[str], console: Console) -> None:
    """Say whether everything was as it had to be."""
    if not mismatches:
        console.print("\n[bold green]Every count is what it had to be.[/]")
        return
    console.print(f"\n[bold red]{len(mismatches)} counts are not what they had to be:[/]")
    for line in mismatches:
        console.print(f"  {line}", markup=False)
