"""Progress bars for the three phases of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
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


class _Mark(SpinnerColumn):
    """How a phase ended; a spinner while it works."""

    def render(self, task: Task) -> RenderableType:
        mark: Text | None = task.fields["mark"]
        return super().render(task) if mark is None else mark


DONE = Text("✓", style="green")
FAILED = Text("✗", style="red")
UNDECIDED = Text("!", style="yellow")
"""The run is held, until an operator publishes or discards it."""
NOT_DONE = Text("–", style="dim")
"""The phase was not reached, or its work was no longer wanted."""

ACQUIRE_MARKS = {
    RunState.COMMITTED: DONE,
    RunState.HELD: UNDECIDED,
    RunState.FAILED: FAILED,
    RunState.CANCELLED: FAILED,
}
AI_MARKS = {AiState.DONE: DONE, AiState.FAILED: FAILED, AiState.SUPERSEDED: NOT_DONE}


class Bars:
    """Three bars, Gather · Acquire & Commit · AI, that show a run's states."""

    def __init__(self) -> None:
        self._progress = Progress(
            _Mark(),
            TextColumn("{task.description:<17}"),
            BarColumn(bar_width=32),
            TextColumn("{task.fields[count]}", style="progress.download"),
            _Rate(),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
            TextColumn("{task.fields[note]}", style="dim"),
            console=console,
        )
        self._gather = self._add("Gather")
        self._acquire = self._add("Acquire & Commit")
        self._ai = self._add("AI")

    def _add(self, name: str) -> TaskID:
        return self._progress.add_task(name, total=None, note="", count="", mark=None)

    def _show(
        self, bar: TaskID, *, mark: Text | None, done: int, of: int | None, note: str
    ) -> None:
        """Update a bar; ``of`` is None as long as nobody knows."""
        self._progress.update(
            bar,
            mark=mark,
            completed=done,
            # A bar without a total moves, which a phase that has ended does not.
            total=max(done, 1) if of is None and mark is not None else of,
            count=f"{done:,}/{'?' if of is None else f'{of:,}'}",
            note=note,
        )

    def show(self, run: Run) -> None:
        """Update the bars to a run's state: no phase that was not completed has a tick."""
        over = run.state is not RunState.ACTIVE
        gathered = DONE if run.sealed else FAILED if over else None
        listed = run.expected if run.sealed else None
        self._show(
            self._gather,
            mark=gathered,
            done=run.expected,
            of=listed,
            note="" if gathered else "listing URLs",
        )
        self._show(
            self._acquire,
            mark=ACQUIRE_MARKS.get(run.state),
            done=run.settled,
            of=listed,
            note=self._acquire_note(run),
        )
        no_ai = over and run.state is not RunState.COMMITTED
        ai_mark = NOT_DONE if no_ai else AI_MARKS.get(run.ai_state)
        self._show(
            self._ai,
            mark=ai_mark,
            done=1 if ai_mark is DONE else 0,
            of=1 if over else None,
            note="not started" if no_ai else self._ai_note(run),
        )

    def _ai_note(self, run: Run) -> str:
        return "" if run.ai_state is AiState.NONE else run.ai_state.value

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
