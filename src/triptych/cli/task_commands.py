"""Commands that list what was asked of an installation: tasks, and what operators did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from collections.abc import AsyncIterator, Sequence
    from typing import TypeVar

    from triptych.tasks.task_store import KeptAudit, Task

    T = TypeVar("T")

LISTED = 20
LISTED_MAX = 10_000

LimitOption = Annotated[int, typer.Option(min=1, max=LISTED_MAX, help="Maximum number.")]


@command(server=True)
async def tasks(
    call: Invocation,
    task: Annotated[
        UUID | None, typer.Argument(metavar="[TASK]", help="Only the one of this id [all].")
    ] = None,
    limit: LimitOption = LISTED,
) -> None:
    """List the operations of the last 30 days, newest first.

    Starting a run, exporting and deleting a brand are such operations.
    """
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        if task is not None:
            found: Sequence[Task] = [await client.task(task)]
        else:
            found = await _first(client.tasks(), limit)
    if call.json:
        print_json({"items": found})
    else:
        _print_tasks(found)


@command(server=True)
async def audit(call: Invocation, limit: LimitOption = LISTED) -> None:
    """List what operators did, newest first."""
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        found = await _first(client.audit(), limit)
    if call.json:
        print_json({"items": found})
    else:
        _print_audit(found)


async def _first(values: AsyncIterator[T], count: int) -> Sequence[T]:
    """Return the first values, at most ``count``; no more are asked for."""
    found: list[T] = []
    async for value in values:
        found.append(value)
        if len(found) == count:
            break
    return found


def _print_tasks(tasks: Sequence[Task]) -> None:
    from rich.table import Table

    from triptych.cli.tables import console, local_time, shown

    table = Table(box=None, pad_edge=False)
    for name in ("submitted", "task", "brand", "state", "id"):
        table.add_column(name, overflow="fold")
    for task in tasks:
        table.add_row(
            local_time(task.created_at),
            shown(task.kind),
            shown(task.brand or "–"),
            task.state.value,
            str(task.id),
        )
    if tasks:
        console.print(table)
    else:
        console.print("No tasks in the last 30 days.", style="dim")


def _print_audit(entries: Sequence[KeptAudit]) -> None:
    from triptych.cli.tables import console, local_time, shown

    for entry in entries:
        console.print(
            f"{local_time(entry.at)}  {shown(entry.actor)}  {shown(entry.action)}  "
            f"{shown(entry.target)}",
            soft_wrap=True,
        )
    if not entries:
        console.print("Nobody has changed anything yet.", style="dim")
