"""Commands that start, follow and steer runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.frame import (
    EXIT_FAILED,
    BrandArgument,
    Data,
    Debug,
    Json,
    RunArgument,
    Server,
    SourceOption,
    execute,
)

if TYPE_CHECKING:
    # What a command needs is imported when it runs: `--help` has to be quick.
    from triptych.cli.desk import Desk
    from triptych.model import Reason, Run
    from triptych.settings.settings import Settings


def run(
    brand: BrandArgument,
    source: SourceOption = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Take a brand through all three phases, here and now; exit 0 only if it committed."""

    async def work(settings: Settings) -> bool:
        from triptych.cli.bars import follow
        from triptych.cli.output import print_run
        from triptych.model import RunState
        from triptych.wiring.local import open_local

        async with open_local(settings) as local:
            opened = await local.submit(brand, source=source)
            last = await follow(local.watch(opened.id), json=json)
        if last is not None and not json:
            print_run(last)
        return last is not None and last.state is RunState.COMMITTED

    if not execute(work, debug=debug, data=data, source=source):
        raise typer.Exit(EXIT_FAILED)


def submit(
    brand: BrandArgument,
    source: SourceOption = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Hand a brand to the running workers; a brand with an active run answers with that run."""
    _open(
        lambda desk: desk.start(brand, source),
        watch=watch,
        debug=debug,
        json=json,
        data=data,
        server=server,
    )


def _open(
    opening: Callable[[Desk], Awaitable[Run]],
    *,
    watch: bool,
    debug: bool,
    json: bool,
    data: Data,
    server: Server,
) -> None:
    """Open a run and print it, or follow it to its end; exit 0 only if it is open or committed."""

    async def work(settings: Settings) -> bool:
        from triptych.cli.bars import follow
        from triptych.cli.desk import open_desk
        from triptych.cli.output import print_json, print_run
        from triptych.model import RunState

        async with open_desk(settings) as desk:
            opened = await opening(desk)
            if not watch:
                (print_json if json else print_run)(opened)
                return True
            last = await follow(desk.watch(opened.id), json=json)
        if last is not None and not json:
            print_run(last)
        return last is not None and last.state is RunState.COMMITTED

    if not execute(work, debug=debug, data=data, server=server):
        raise typer.Exit(EXIT_FAILED)


def status(
    name: Annotated[str | None, typer.Argument(metavar="[BRAND|RUN]")] = None,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show all brands, or one brand's newest run, or one run; and the queues."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import find_run, open_desk
        from triptych.cli.output import console, print_brands, print_json, print_run

        async with open_desk(settings) as desk:
            if name is not None:
                found = await find_run(desk, name)
                (print_json if json else print_run)(found)
                return
            brands = await desk.brands()
            depths = await desk.depths()
        if json:
            print_json({"brands": brands, "queues": depths})
            return
        print_brands(brands)
        for depth in depths:
            if depth.waiting or depth.in_flight:
                console.print(
                    f"{depth.queue}: {depth.waiting:,} waiting, {depth.in_flight:,} in flight",
                    style="dim",
                )

    execute(work, debug=debug, data=data, server=server)


def reembed(
    brand: BrandArgument,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Embed a brand anew with the model in force, from stored objects, without downloading."""
    _open(
        lambda desk: desk.reembed(brand),
        watch=watch,
        debug=debug,
        json=json,
        data=data,
        server=server,
    )


def _steer(verb: str, name: str, *, debug: bool, json: bool, data: Data, server: Server) -> None:
    """Pause, resume or cancel a run and print how it stands."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import find_run, open_desk
        from triptych.cli.output import print_json, print_run

        async with open_desk(settings) as desk:
            found = await find_run(desk, name)
            changed = await desk.steer(verb, found.id)
        (print_json if json else print_run)(changed)

    execute(work, debug=debug, data=data, server=server)


def pause(
    name: RunArgument,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Dispatch nothing more of a run; what is out settles."""
    _steer("pause", name, debug=debug, json=json, data=data, server=server)


def resume(
    name: RunArgument,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Let a paused run go on."""
    _steer("resume", name, debug=debug, json=json, data=data, server=server)


def cancel(
    name: RunArgument,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """End an active run; the brand's snapshot stays what it was."""
    _steer("cancel", name, debug=debug, json=json, data=data, server=server)


def redrive(
    name: RunArgument,
    reason: Annotated[
        list[str] | None,
        typer.Option("--reason", help="Only items that failed for this; may be repeated [all]."),
    ] = None,
    server: Server = None,
    data: Data = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Try an ended run's failed items again, in a run of their own."""

    async def work(settings: Settings) -> None:
        from triptych.cli.desk import find_run, open_desk
        from triptych.cli.output import print_json, print_run

        reasons = [_known_reason(each) for each in reason or ()]
        async with open_desk(settings) as desk:
            found = await find_run(desk, name)
            changed = await desk.redrive(found.id, reasons)
        (print_json if json else print_run)(changed)

    execute(work, debug=debug, data=data, server=server)


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
