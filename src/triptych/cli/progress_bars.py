"""Progress bars for the three phases of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from triptych.cli.json_output import print_json_line
from triptych.cli.tables import console
from triptych.model import AiState, Run, RunState


class _Rate(TextColumn):
    """Items per second, averaged over the last few seconds."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:,.0f}/s", style="dim", justify="right")


class Bars:
    """Three bars, Gather · Acquire & Commit · AI, that show a run's states."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(finished_text="✓"),
            TextColumn("{task.description:<17}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
        )
        self._gather = self._add("Gather")
        self._acquire = self._add("Acquire & Commit")
        self._ai = self._add("AI")

    def _add(self, name: str) -> TaskID:
        return self._progress.add_task(name, total=None, note="")

    def show(self, run: Run) -> None:
        """Update the bars to a run's state."""
        over = run.state is not RunState.ACTIVE
        gathered = run.sealed or over
        self._progress.update(
            self._gather,
            completed=run.expected,
            total=run.expected if gathered else None,
            note="" if gathered else "listing URLs",
        )
        self._progress.update(
            self._acquire,
            completed=run.settled,
            total=run.expected if gathered else None,
            note=self._acquire_note(run),
        )
        ai_over = run.ai_state in {AiState.DONE, AiState.FAILED, AiState.SUPERSEDED}
        self._progress.update(
            self._ai,
            completed=1 if ai_over else 0,
            total=1 if run.state is RunState.COMMITTED else None,
            note="" if run.ai_state is AiState.NONE else run.ai_state.value,
        )

    def _acquire_note(self, run: Run) -> str:
        failed = f"{run.failed:,} failed" if run.failed else ""
        state = "" if run.state is RunState.ACTIVE else run.state.value
        paused = "paused" if run.paused else ""
        return " · ".join(part for part in (failed, paused, state) if part)

    async def follow(self, states: AsyncIterator[Run]) -> Run | None:
        """Show every state; return the last."""
        last: Run | None = None
        with self._progress:
            async for run in states:
                self.show(run)
                last = run
        return last


async def follow(states: AsyncIterator[Run], *, json: bool) -> Run | None:
    """Show a run's states as bars, or as one line of JSON each; return the last."""
    if not json:
        return await Bars().follow(states)
    last: Run | None = None
    async for run in states:
        print_json_line(run)
        last = run
    return last
