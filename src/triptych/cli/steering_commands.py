"""Commands that steer runs: one, or many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.run_commands import find_run, known_reason, show_run

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.api.run_bulk import BulkResult
    from triptych.client.run_verbs import BulkAction, Steering

RunsArgument = Annotated[
    list[str],
    typer.Argument(metavar="RUN...", help="Runs' ids, or brands for their newest runs."),
]


@command(server=True)
async def pause(call: Invocation, names: RunsArgument) -> bool:
    """Pause runs: no more of their items are dispatched.

    Items that were already dispatched still settle.
    """
    return await _steer(call, "pause", names)


@command(server=True)
async def resume(call: Invocation, names: RunsArgument) -> bool:
    """Continue paused runs."""
    return await _steer(call, "resume", names)


@command(server=True)
async def cancel(call: Invocation, names: RunsArgument) -> bool:
    """Cancel active runs; their brands' snapshots do not change."""
    return await _steer(call, "cancel", names)


@command(server=True)
async def publish(call: Invocation, names: RunsArgument) -> bool:
    """Commit held runs, although they remove many assets."""
    return await _steer(call, "publish", names)


@command(server=True)
async def discard(call: Invocation, names: RunsArgument) -> bool:
    """End held runs; their brands' snapshots do not change."""
    return await _steer(call, "discard", names)


@command(server=True)
async def redrive(
    call: Invocation,
    names: RunsArgument,
    reason: Annotated[
        list[str] | None,
        typer.Option(
            "--reason",
            help="Only items that failed for this reason; repeatable [those a retry may help].",
        ),
    ] = None,
) -> bool:
    """Retry ended runs' failed items in new runs."""
    from triptych.errors import BadInput

    reasons = [known_reason(each) for each in reason or ()]
    if len(names) > 1:
        if reasons:
            raise BadInput(
                "Reasons are chosen for one run at a time.",
                field="--reason",
                remedy="Name one run, or leave the reasons out.",
            )
        return await _steer_many(call, "redrive", names)
    async with call.open_client() as client:
        found = await find_run(client, names[0])
        show_run(call, await client.redrive(found.id, reasons=reasons, left=_say_left))
    return True


def _say_left(left: Mapping[str, int]) -> None:
    from triptych.cli.log_output import say

    if left:
        counts = ", ".join(f"{count:,} {reason}" for reason, count in left.items())
        say(f"Not retried: {counts}. `triptych failures` says what helps.")


async def _steer(call: Invocation, verb: Steering, names: Sequence[str]) -> bool:
    """Do one thing to one run or to many; return whether all of it was done."""
    if len(names) > 1:
        return await _steer_many(call, verb, names)
    async with call.open_client() as client:
        show_run(call, await client.steer((await find_run(client, names[0])).id, verb))
    return True


async def _steer_many(call: Invocation, action: BulkAction, names: Sequence[str]) -> bool:
    from triptych.cli.json_output import print_json

    runs, brands = _apart(names)
    async with call.open_client() as client:
        result = await client.steer_runs(action, runs=runs, brands=brands)
    (print_json if call.json else _print_result)(result)
    return result.refused == 0


def _apart(names: Sequence[str]) -> tuple[Sequence[UUID], Sequence[str]]:
    """Return ids and brands apart."""
    runs, brands = [], []
    for name in names:
        try:
            runs.append(UUID(name))
        except ValueError:
            brands.append(name)
    return runs, brands


def _print_result(result: BulkResult) -> None:
    from triptych.cli.tables import console, shown

    console.print(f"{result.done:,} done, {result.refused:,} refused")
    for each in result.items:
        name = each.brand or str(each.run)
        if each.done:
            opened = f", new run {each.opened}" if each.opened else ""
            console.print(f"[green]✓[/] {shown(name)}{opened}", soft_wrap=True)
        else:
            why = " ".join(filter(None, (each.detail or each.reason, each.remedy)))
            console.print(f"[red]✗[/] {shown(name)}: {shown(why)}", soft_wrap=True)
