"""The three bars of a run: what has a tick was completed, and what has ended does not move."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from rich.console import Console

from tests.support.snapshots import committed_run
from triptych.cli import progress_bars, tables
from triptych.cli.progress_bars import Bars
from triptych.model import AiState, Run, RunState

LISTING = msgspec.structs.replace(
    committed_run(), state=RunState.ACTIVE, sealed=False, ai_state=AiState.NONE
)


@dataclass(frozen=True)
class Ended:
    run: dict[str, Any]
    lines: tuple[tuple[str, str], ...]
    """The beginning and the end of each bar's line."""


FAILED_GATHER = {"state": RunState.FAILED}
CASES = {
    "a gather that failed at once": Ended(
        FAILED_GATHER, (("✗ Gather", "0/?"), ("✗ Acquire", "failed"), ("– AI", "not started"))
    ),
    "a gather that failed on the way": Ended(
        FAILED_GATHER | {"expected": 7, "done": 3},
        (("✗ Gather", "7/?"), ("✗ Acquire", "failed"), ("– AI", "not started")),
    ),
    "too many failures": Ended(
        {"state": RunState.FAILED, "sealed": True, "expected": 4, "failed": 4},
        (("✓ Gather", "4/4"), ("✗ Acquire", "4 failed · failed"), ("– AI", "not started")),
    ),
    "cancelled": Ended(
        {"state": RunState.CANCELLED, "expected": 4, "done": 1},
        (("✗ Gather", "4/?"), ("✗ Acquire", "cancelled"), ("– AI", "not started")),
    ),
    "held": Ended(
        {"state": RunState.HELD, "sealed": True, "expected": 4, "done": 4},
        (("✓ Gather", "4/4"), ("! Acquire", "held"), ("– AI", "not started")),
    ),
    "committed": Ended(
        {
            "state": RunState.COMMITTED,
            "sealed": True,
            "expected": 4,
            "done": 4,
            "ai_state": AiState.DONE,
        },
        (("✓ Gather", "4/4"), ("✓ Acquire", "committed"), ("✓ AI", "done")),
    ),
    "committed, and a step failed": Ended(
        {
            "state": RunState.COMMITTED,
            "sealed": True,
            "expected": 4,
            "done": 4,
            "ai_state": AiState.FAILED,
        },
        (("✓ Gather", "4/4"), ("✓ Acquire", "committed"), ("✗ AI", "failed")),
    ),
}


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Console:
    console = Console(width=160, record=True, highlight=False)
    monkeypatch.setattr(progress_bars, "console", console)
    monkeypatch.setattr(tables, "console", console)
    return console


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_bars_say_how_each_phase_ended(case: Ended, screen: Console) -> None:
    async def states() -> AsyncIterator[Run]:
        yield LISTING
        yield msgspec.structs.replace(LISTING, **case.run)

    await Bars().follow(states())

    lines = [line.rstrip() for line in screen.export_text().splitlines() if line.strip()][-3:]
    for line, (beginning, end) in zip(lines, case.lines, strict=True):
        assert line.startswith(beginning)
        assert end in line


@pytest.mark.parametrize(
    ("state", "said"),
    [(RunState.ACTIVE, "still gathering"), (RunState.FAILED, "not all gathered")],
)
def test_only_an_active_run_is_still_gathering(state: RunState, said: str, screen: Console) -> None:
    tables.print_run(msgspec.structs.replace(LISTING, state=state))

    items = next(line for line in screen.export_text().splitlines() if "items" in line)
    assert items.endswith(f" · {said}")
