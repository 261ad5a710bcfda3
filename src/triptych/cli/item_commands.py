"""Commands for the items of a run: why one waits, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.options import RunArgument
from triptych.cli.run_commands import find_run, known_reason

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from uuid import UUID

    from triptych.client import Client
    from triptych.client.item_verbs import ItemFilters
    from triptych.runs.item_store import ItemCounts, ItemStanding, RunItem
    from triptych.tasks.task_store import Task

LISTED = 20
HOSTS_SHOWN = 5
AT_ONCE = 1_000
"""Items of one request."""

StateOption = Annotated[
    str | None,
    typer.Option(
        "--state",
        help="Only: pending, sent, delayed, done, failed, skipped or cancelled [all].",
    ),
]
HostOption = Annotated[
    str | None, typer.Option("--host", help="Only of this host, with its port if it has one [all].")
]
KeysArgument = Annotated[
    list[str], typer.Argument(metavar="KEY...", help="Items' keys, as `items` shows them.")
]


@command(server=True)
async def items(
    call: Invocation,
    name: RunArgument,
    state: StateOption = None,
    host: HostOption = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Only with this reason of a failure [all].")
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Only a URL, or with this text in it [all].")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number.")] = LISTED,
) -> None:
    """Show where a run's items are and why they wait."""
    from triptych.cli.json_output import print_json

    filters: ItemFilters = {}
    if state is not None:
        filters["state"] = _known_state(state)
    if host is not None:
        filters["host"] = host
    if reason is not None:
        filters["reason"] = known_reason(reason)
    if url is not None:
        filters["url"] = url
    async with call.open_client() as client:
        run = await find_run(client, name)
        counts = await client.item_counts(run.id)
        found: list[RunItem] = []
        async for item in client.items(run.id, **filters):
            found.append(item)
            if len(found) == limit:
                break
    if call.json:
        print_json({"counts": counts, "items": found})
        return
    _print_counts(counts)
    _print_items(found, limit)


def _known_state(name: str) -> ItemStanding:
    from triptych.errors import BadInput
    from triptych.runs.item_store import ItemStanding

    try:
        return ItemStanding(name)
    except ValueError:
        raise BadInput(
            f"There is no state {name!r}.",
            field="--state",
            remedy=f"Name one of {', '.join(state.value for state in ItemStanding)}.",
        ) from None


def _print_counts(counts: ItemCounts) -> None:
    from triptych.cli.tables import console, shown

    names = ("pending", "sent", "delayed", "done", "failed", "skipped", "cancelled")
    numbers = [f"{getattr(counts, name):,} {name}" for name in names if getattr(counts, name)]
    console.print(" · ".join(numbers) or "No items.")
    about = "about " if counts.each > 1 else ""
    for host in counts.hosts[:HOSTS_SHOWN]:
        console.print(
            f"  {shown(host.host) or 'no host'}: {about}{host.left:,} of {host.items:,} left, "
            f"{host.delayed:,} delayed, {host.failed:,} failed",
            style="dim",
            soft_wrap=True,
        )
    more = counts.hosts_found - len(counts.hosts[:HOSTS_SHOWN])
    if more > 0:
        console.print(f"  {more:,} more hosts", style="dim")


def _print_items(items: Sequence[RunItem], limit: int) -> None:
    from triptych.cli.tables import console, local_time, shown

    for item in items:
        tries = f", {item.attempts} of {item.max_attempts} attempts" if item.attempts else ""
        due = f", next {local_time(item.next_attempt_at)}" if item.next_attempt_at else ""
        console.print(f"{shown(item.key)}  {item.state.value}{tries}{due}", soft_wrap=True)
        console.print(f"    {shown(item.url)}", soft_wrap=True)
        if item.reason is not None:
            why = f"{item.reason.value}: {item.detail}" if item.detail else item.reason.value
            console.print(f"    [dim]{shown(why)}[/]", soft_wrap=True)
    if not items:
        console.print("No such items.", style="dim")
    if len(items) == limit:
        console.print(f"The first {limit:,}; --limit shows more.", style="dim")


@command(server=True)
async def retry(call: Invocation, name: RunArgument, keys: KeysArgument) -> None:
    """Try items now that wait or have failed.

    Failed items of an ended run are retried in a new run.
    """
    async with call.open_client() as client:
        run = await find_run(client, name)
        tasks = [await client.retry_items(run.id, some) for some in _batches(keys)]
        _show(call, tasks, "retried")
        await _say_opened(call, client, run.id, tasks)


async def _say_opened(call: Invocation, client: Client, asked: UUID, tasks: Sequence[Task]) -> None:
    """Print the new runs, of items of a run that has ended."""
    from triptych.cli.tables import print_run

    opened = dict.fromkeys(task.run_id for task in tasks if task.run_id not in (None, asked))
    for run_id in opened:
        if run_id is not None and not call.json:
            print_run(await client.run(run_id))


@command(server=True)
async def skip(call: Invocation, name: RunArgument, keys: KeysArgument) -> None:
    """Let items go, so that the run can end without them.

    They are counted as failed, for the reason skipped.
    """
    async with call.open_client() as client:
        run = await find_run(client, name)
        tasks = [await client.skip_items(run.id, some) for some in _batches(keys)]
    _show(call, tasks, "skipped")


def _batches(keys: Sequence[str]) -> Sequence[Sequence[str]]:
    remaining = iter(dict.fromkeys(keys))
    return list(iter(lambda: list(islice(remaining, AT_ONCE)), []))


def _show(call: Invocation, tasks: Sequence[Task], done: str) -> None:
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, shown

    if call.json:
        print_json({"items": tasks})
        return
    console.print(f"{sum(_number(task.result.get(done)) for task in tasks):,} {done}.")
    for task in tasks:
        left = task.result.get("left")
        if isinstance(left, Mapping):
            for where, count in left.items():
                console.print(f"  left: {_number(count):,} {shown(str(where))}", style="yellow")


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
