"""The command that lists what happened to a brand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.options import BrandArgument

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.api.history import HistoryEntry

LISTED = 20


@command(server=True)
async def history(
    call: Invocation,
    brand: BrandArgument,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Maximum number.")] = LISTED,
) -> None:
    """List a brand's runs and what operators did, newest first."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console

    found: list[HistoryEntry] = []
    async with call.open_client() as client:
        async for entry in client.history(brand):
            found.append(entry)
            if len(found) == limit:
                break
    if call.json:
        print_json({"items": found})
        return
    for each in found:
        _print_entry(each)
    if not found:
        console.print("Nothing has happened yet.", style="dim")


def _print_entry(entry: HistoryEntry) -> None:
    from triptych.cli.tables import console, local_time, shown

    if entry.action is not None:
        what = f"{shown(entry.action.actor)}: {shown(entry.action.action)}"
        what += f" {shown(entry.schedule_words)}" if entry.schedule_words else ""
    else:
        what = f"run {entry.kind.value}"
    run = ""
    if entry.run is not None:
        run = f"  [dim]{entry.run.id}, {entry.run.done:,} of {entry.run.expected:,} items[/]"
    console.print(f"{local_time(entry.at)}  {what}{run}", soft_wrap=True)
