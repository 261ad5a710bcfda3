"""Commands that show who works on an installation, and who asks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.presence.presence_store import SeenWorker


@command(server=True)
async def workers(call: Invocation) -> None:
    """List the workers with their phases and what each does."""
    from triptych.cli.json_output import print_json

    async with call.open_client() as client:
        found = await client.workers()
    if call.json:
        print_json({"items": found})
    else:
        _print_workers(found)


def _print_workers(workers: Sequence[SeenWorker]) -> None:
    from rich.table import Table

    from triptych.cli.tables import console, shown

    table = Table(box=None, pad_edge=False)
    for name in ("worker", "phases", "state", "messages held", "a second", "memory", "version"):
        table.add_column(name, overflow="fold")
    for each in workers:
        state = "[green]alive[/]" if each.alive else f"[red]silent for {each.silent_s:,.0f} s[/]"
        held = ", ".join(f"{count:,} of {shown(queue)}" for queue, count in each.doing.items())
        at = f"{shown(each.host)} ({each.pid})" if each.host else str(each.id)
        table.add_row(
            at,
            shown(", ".join(each.phases)),
            "stopping" if each.stopping else state,
            held or "–",
            f"{sum(each.per_second.values()):.1f}" if each.per_second else "–",
            "–" if each.memory_bytes is None else f"{each.memory_bytes / 1024**2:,.0f} MiB",
            shown(each.version),
        )
    if workers:
        console.print(table)
        for each in workers:
            for message in each.held:
                of = f" of {message.brand}" if message.brand else ""
                at = f" at {message.host}" if message.host else ""
                console.print(
                    f"  {shown(message.queue)}{shown(of)}{shown(at)}, held for "
                    f"{message.seconds:,.0f} s",
                    style="dim",
                    soft_wrap=True,
                )
    else:
        console.print("No workers. Start one: triptych worker gather acquire ai", style="dim")


@command(server=True)
async def me(call: Invocation) -> None:
    """Show as whom the server knows you and what your key may do."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, local_time, shown

    async with call.open_client() as client:
        found = await client.me()
    if call.json:
        print_json(found)
        return
    brands = "all brands" if found.brands is None else ", ".join(found.brands)
    until = "" if found.expires_at is None else f", until {local_time(found.expires_at)}"
    console.print(
        f"{shown(found.name)}: {found.scope.value} of {shown(brands)}{until}", soft_wrap=True
    )
