"""Results for people: tables and lines on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from typing_extensions import override

from triptych.cli.terminal_text import printable
from triptych.model import AiState, Brand, Run, RunState
from triptych.presence.presence_store import SeenWorker
from triptych.queues.queue import QueueDepth
from triptych.runs.failure_reasons import FailureExamples
from triptych.runs.run_store import LastTry, RefusedRows
from triptych.snapshots.asset_shown import AssetShown, AssetWhole
from triptych.snapshots.search_service import Matches


class SafeConsole(Console):
    """A console whose texts and cells reach the terminal without control characters of their own.

    Markup still takes effect: external text is escaped with `shown`.
    """

    @override
    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(printable(text, lines=True), **options)


console = SafeConsole(highlight=False)

STATE_STYLE = {
    RunState.ACTIVE: "cyan",
    RunState.COMMITTED: "green",
    RunState.HELD: "yellow",
    RunState.FAILED: "red",
    RunState.CANCELLED: "yellow",
}


def print_brands(brands: Sequence[Brand]) -> None:
    """Print one row per brand, with its newest run."""
    if not brands:
        console.print(
            "No brands yet. Start with: triptych run BRAND --source manifest:urls.csv", style="dim"
        )
        return
    table = Table(box=None, pad_edge=False)
    for name in ("brand", "assets", "newest run", "items", "failed", "AI"):
        table.add_column(name, justify="right" if name in {"assets", "items", "failed"} else "left")
    for brand in brands:
        run = brand.latest
        table.add_row(
            shown(brand.name),
            f"{brand.assets:,}",
            state_text(run) if run else "–",
            f"{run.settled:,}/{run.expected:,}" if run else "–",
            f"{run.failed:,}" if run else "–",
            run.ai_state.value if run and run.ai_state is not AiState.NONE else "–",
        )
    console.print(table)


def state_text(run: Run) -> str:
    """Return a run's state as coloured text."""
    if run.stalled:
        return "[red]stalled[/]"
    text = "paused" if run.paused else run.state.value
    return f"[{STATE_STYLE[run.state]}]{text}[/]"


def print_runs(runs: Sequence[Run], *, stalled: bool) -> None:
    """Print one row per run; ``stalled``: only such runs were asked for."""
    if not runs:
        console.print("No run is stalled." if stalled else "No such runs.", style="dim")
        return
    table = Table(box=None, pad_edge=False)
    for name in ("brand", "state", "items", "failed", "started", "last progress", "run"):
        table.add_column(name, justify="right" if name in {"items", "failed"} else "left")
    for run in runs:
        table.add_row(
            shown(run.brand),
            state_text(run),
            f"{run.settled:,}/{run.expected:,}",
            f"{run.failed:,}",
            local_time(run.created_at),
            local_time(run.progressed_at),
            str(run.id),
        )
    console.print(table)


def local_time(at: datetime) -> str:
    """Return a time as this machine's clocks show it, to the second."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def print_stalled(run: Run, workers: Sequence[SeenWorker], last_try: LastTry | None) -> None:
    """Print since when nothing of a run has moved, what is known of the cause, and what helps."""
    console.print(f"  stalled nothing has moved since {local_time(run.progressed_at)}")
    phase = "acquire" if run.sealed else "gather"
    able = [worker for worker in workers if phase in worker.phases]
    alive = sum(worker.alive for worker in able)
    if alive:
        are = "worker is" if alive == 1 else "workers are"
        console.print(
            f"  cause   unknown: {alive} {are} alive; their logs, or `triptych dead-letters list`, "
            "may tell",
            soft_wrap=True,
        )
    else:
        silent_s = min((worker.silent_s for worker in able), default=None)
        since = "in the last hour" if silent_s is None else f"for {silent_s:,.0f} s"
        console.print(
            f"  cause   no worker of the phase {phase} has been seen {since}: start one with "
            "`triptych worker`",
            soft_wrap=True,
        )
    if last_try is not None and last_try.detail:
        console.print(
            f"  error   {shown(last_try.detail)} (attempt {last_try.attempts} of "
            f"{run.policy.max_attempts})",
            soft_wrap=True,
        )
    console.print(f"  decide  triptych cancel {run.id}  ends it", soft_wrap=True)


def print_run(run: Run) -> None:
    """Print a run's state in a few lines."""
    active = run.state is RunState.ACTIVE
    console.print(f"[bold]{shown(run.brand)}[/]  {state_text(run)}  [dim]{run.id}[/]")
    if run.restores is not None:
        console.print(f"  of      snapshot {run.restores}, restored")
    else:
        console.print(
            f"  items   {run.expected:,} expected · {run.done:,} done · {run.failed:,} failed"
            + ("" if run.sealed else " · still gathering" if active else " · not all gathered")
        )
    if run.rows_read:
        console.print(
            f"  rows    {run.rows_read:,} read = {run.expected:,} items + "
            f"{run.rows_merged:,} merged + {run.rows_refused:,} refused"
        )
    if run.state is RunState.COMMITTED:
        console.print(
            f"  commit  {run.added:,} added · {run.kept:,} kept · "
            f"{run.changed:,} changed · {run.removed:,} removed"
        )
    if run.reasons:
        reasons = " · ".join(f"{count:,} {shown(reason)}" for reason, count in run.reasons.items())
        console.print(f"  failed  {reasons}")
    if run.ai_state is not AiState.NONE:
        console.print(f"  AI      {run.ai_state.value}" + in_brackets(run.ai_reason))
    if run.reason:
        console.print(f"  reason  {shown(run.reason)}", soft_wrap=True)
    if run.state is RunState.HELD:
        console.print(f"  decide  triptych publish {run.id}  or  triptych discard {run.id}")


def print_failures(groups: Sequence[FailureExamples]) -> None:
    """Print failures by reason: its meaning, whether a redrive may help, and examples."""
    if not groups:
        console.print("Nothing failed.", style="green")
    for group in groups:
        console.print(
            f"[bold]{group.count:,} {shown(group.reason)}[/]  {shown(group.meaning)}",
            soft_wrap=True,
        )
        console.print(f"    [dim]Will a redrive help? {shown(group.redrive)}[/]", soft_wrap=True)
        for url, detail in group.examples:
            console.print(f"    {shown(url)}", soft_wrap=True)
            if detail:
                console.print(f"      [dim]{shown(detail)}[/]", soft_wrap=True)


def print_refused_rows(refused: RefusedRows, examples: int) -> None:
    """Print how many rows of a source name no URL, and where the first of them are."""
    if refused.count:
        console.print(f"[bold]{refused.count:,} rows refused[/]  They name no URL.")
    for row in refused.items[:examples]:
        console.print(f"    {shown(row.place)}: {shown(row.problem)}", soft_wrap=True)


def print_queues(depths: Sequence[QueueDepth]) -> None:
    """Print one line per queue that is not empty."""
    for depth in depths:
        if depth.waiting or depth.in_flight or depth.delayed:
            console.print(
                f"{shown(depth.queue)}: {depth.waiting:,} waiting, {depth.in_flight:,} worked on, "
                f"{depth.delayed:,} delayed",
                style="dim",
            )


def print_assets(assets: Sequence[AssetShown], total: int, following: str | None) -> None:
    """Print one row per asset, and the cursor of the next page."""
    table = Table(box=None, pad_edge=False)
    for name in ("type", "pixels", "bytes", "url", "id"):
        justify = "right" if name in {"pixels", "bytes"} else "left"
        table.add_column(name, justify=justify, overflow="fold")  # type: ignore[arg-type]
    for asset in assets:
        table.add_row(
            shown(asset.media_type.removeprefix("image/")),
            f"{asset.width}×{asset.height}",
            f"{asset.size_bytes:,}",
            shown(asset.url),
            shown(asset.id),
        )
    console.print(table)
    console.print(f"{len(assets):,} of {total:,} assets", style="dim")
    if following is not None:
        console.print(f"Continue with --after {shown(following)}", style="dim", soft_wrap=True)


def print_asset(asset: AssetWhole) -> None:
    """Print what is known of an asset, its metadata, marks, people and text included."""
    pixels = f"{asset.width:,}×{asset.height:,} " if asset.width and asset.height else ""
    console.print(f"[bold]{shown(asset.url)}[/]", soft_wrap=True)
    console.print(f"  of      {shown(asset.brand)}, run {asset.run_id}", soft_wrap=True)
    console.print(f"  file    {pixels}{shown(asset.media_type)}, {asset.size_bytes:,} bytes")
    if asset.colours:
        colours = ", ".join(f"#{shown(each.hex)} {each.share:.0%}" for each in asset.colours)
        console.print(f"  colours {colours}", soft_wrap=True)
    for name, value in (("metadata", asset.metadata), ("marks", asset.marks)):
        for key, each in value.items():
            console.print(f"  {name:<8}{shown(str(key))}: {shown(str(each))}", soft_wrap=True)
    if asset.people:
        close_up = ", in a close-up" if asset.people.close_up else ""
        faces = len(asset.people.faces) + asset.people.left_out
        counted = f", {faces:,} faces" if faces > 1 else ""
        console.print(f"  people  {asset.people.people.value}{counted}{close_up}")
    for line in asset.text.lines if asset.text else ():
        console.print(f"  text    {shown(line.text)}", soft_wrap=True)
    if asset.text and asset.text.left_out:
        console.print(f"  text    {asset.text.left_out:,} further lines were not read")
    console.print(f"  sha256  {shown(asset.sha256)}")


def print_matches(found: Matches) -> None:
    """Print one row per asset that a search found."""
    table = Table(box=None, pad_edge=False)
    # Only where they say something: addresses and ids need the room.
    named = any(match.found_in for match in found.rows)
    copied = any(match.copies > 1 for match in found.rows)
    shown_columns = {"found in": named, "copies": copied}
    for name in ("score", "found in", "copies", "brand", "url", "id"):
        if shown_columns.get(name, True):
            right = name in {"score", "copies"}
            table.add_column(name, justify="right" if right else "left", overflow="fold")
    for match in found.rows:
        score = match.similarity if match.score is None else match.score
        asset = match.asset
        table.add_row(
            "–" if score is None else f"{score:.3f}",
            *([shown(", ".join(match.found_in)) or "content"] if named else []),
            *([str(match.copies)] if copied else []),
            shown(asset.brand),
            shown(asset.url),
            shown(asset.id),
        )
    if found.brands:
        console.print(f"Brands: {', '.join(shown(name) for name in found.brands)}")
    console.print(table)
    if not found.rows:
        console.print("Nothing found.", style="dim")
    elif not found.matching:
        console.print("Nothing matches; these are only the nearest.", style="yellow")
    for problem in found.problems:
        console.print(shown(problem), style="yellow")
    if found.unindexed:
        console.print(f"{found.unindexed:,} brands are not fully indexed yet.", style="yellow")


def in_brackets(text: str | None) -> str:
    """Return text in brackets after a space; an empty string for None."""
    return f" ({shown(text)})" if text else ""


def shown(text: str, *, lines: bool = False) -> str:
    """Return external text literally: its markup and control sequences do not take effect."""
    return escape(printable(text, lines=lines))
