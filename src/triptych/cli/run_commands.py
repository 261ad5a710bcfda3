"""Commands that start, follow and steer runs, and show what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.options import BrandArgument, RunArgument, SourceOption, WatchOption

if TYPE_CHECKING:
    # What a command needs is imported when it runs: `--help` has to be quick.
    from triptych.client import Client
    from triptych.model import Reason, Run

FAILURE_EXAMPLES = 3


@command()
async def run(call: Invocation, brand: BrandArgument, source: SourceOption = None) -> bool:
    """Take a brand through all three phases, here and now; exit 0 only if it committed."""
    from triptych.client import open_socket_client
    from triptych.wiring.local import open_local
    from triptych.wiring.private_server import serve_privately

    async with (
        open_local(call.settings(source=source)) as local,
        serve_privately(local.services) as socket,
        open_socket_client(socket) as client,
    ):
        opened = await client.start(brand, source=source)
        return await _follow(call, client.watch(opened.id))


@command(server=True)
async def submit(
    call: Invocation,
    brand: BrandArgument,
    source: SourceOption = None,
    watch: WatchOption = False,
) -> bool:
    """Hand a brand to the running workers; a brand with an active run answers with that run."""
    async with call.open_client() as client:
        return await _show_opened(call, client, client.start(brand, source=source), watch=watch)


@command(server=True)
async def reembed(call: Invocation, brand: BrandArgument, watch: WatchOption = False) -> bool:
    """Embed a brand anew with the model in force, from stored objects, without downloading."""
    async with call.open_client() as client:
        return await _show_opened(call, client, client.reembed(brand), watch=watch)


async def _show_opened(
    call: Invocation, client: Client, opening: Awaitable[Run], *, watch: bool
) -> bool:
    """Print a run that is opened, or follow it to its end; tell whether it is open or committed."""
    opened = await opening
    if watch:
        return await _follow(call, client.watch(opened.id))
    _show(call, opened)
    return True


async def _follow(call: Invocation, states: AsyncIterator[Run]) -> bool:
    """Show a run as it goes and how it ended; tell whether it committed."""
    from triptych.cli.progress_bars import follow
    from triptych.cli.tables import print_run
    from triptych.model import RunState

    last = await follow(states, json=call.json)
    if last is not None and not call.json:
        print_run(last)
    return last is not None and last.state is RunState.COMMITTED


def _show(call: Invocation, found: Run) -> None:
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_run

    (print_json if call.json else print_run)(found)


@command(server=True)
async def status(
    call: Invocation, name: Annotated[str | None, typer.Argument(metavar="[BRAND|RUN]")] = None
) -> None:
    """Show all brands, or one brand's newest run, or one run; and the queues."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_brands, print_queues

    async with call.open_client() as client:
        if name is not None:
            _show(call, await find_run(client, name))
            return
        brands, depths = await client.brands(), await client.depths()
    if call.json:
        print_json({"brands": brands, "queues": depths})
        return
    print_brands(brands)
    print_queues(depths)


async def find_run(client: Client, name: str) -> Run:
    """Return the run of that id, or the newest run of the brand of that name.

    Raises:
        RunNotFound: no run has that id.
        BrandNotFound: it is no id, and no brand of that name has run.
    """
    from triptych.errors import BrandNotFound

    try:
        return await client.run(UUID(name))
    except ValueError:
        pass  # It is a brand's name.
    try:
        newest = (await client.brand(name)).latest
    except BrandNotFound:
        newest = None
    if newest is None:
        raise BrandNotFound(
            f"There is no run and no brand {name!r}.", remedy="`triptych status` lists the brands."
        )
    return newest


@command(server=True)
async def pause(call: Invocation, name: RunArgument) -> None:
    """Dispatch nothing more of a run; what is out settles."""
    await _steer(call, "pause", name)


@command(server=True)
async def resume(call: Invocation, name: RunArgument) -> None:
    """Let a paused run go on."""
    await _steer(call, "resume", name)


@command(server=True)
async def cancel(call: Invocation, name: RunArgument) -> None:
    """End an active run; the brand's snapshot stays what it was."""
    await _steer(call, "cancel", name)


async def _steer(call: Invocation, verb: str, name: str) -> None:
    async with call.open_client() as client:
        _show(call, await client.steer((await find_run(client, name)).id, verb))


@command(server=True)
async def redrive(
    call: Invocation,
    name: RunArgument,
    reason: Annotated[
        list[str] | None,
        typer.Option("--reason", help="Only items that failed for this; may be repeated [all]."),
    ] = None,
) -> None:
    """Try an ended run's failed items again, in a run of their own."""
    reasons = [_known_reason(each) for each in reason or ()]
    async with call.open_client() as client:
        found = await find_run(client, name)
        _show(call, await client.redrive(found.id, reasons=reasons))


def _known_reason(name: str) -> Reason:
    from triptych.errors import BadInput
    from triptych.model import Reason

    try:
        return Reason(name)
    except ValueError:
        raise BadInput(
            f"There is no reason {name!r}.",
            field="--reason",
            remedy="`triptych failures RUN` shows those of a run.",
        ) from None


@command(server=True)
async def failures(
    call: Invocation,
    name: RunArgument,
    examples: Annotated[
        int, typer.Option(min=1, max=1000, help="Examples of each reason.")
    ] = FAILURE_EXAMPLES,
) -> None:
    """Show what failed in a run, by reason, with examples."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_failures

    async with call.open_client() as client:
        found = await find_run(client, name)
        groups = await client.failures(found.id, examples=examples)
    if call.json:
        print_json({"items": groups})
    else:
        print_failures(groups)
