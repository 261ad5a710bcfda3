"""Commands that start, follow and steer runs, and show their results."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from triptych.cli.invocation import Invocation, collecting_nothing, command
from triptych.cli.options import (
    BrandArgument,
    IgnoreQueryOption,
    KeyOption,
    ReplaceOption,
    RunArgument,
    SourceOption,
    UrlsArgument,
    WatchOption,
    check_urls,
    given_source,
)

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.client import Client
    from triptych.model import Reason, Run, RunKind, RunState

FAILURE_EXAMPLES = 3
EVENT_MAX_CHARS = 200
RUN_DRAIN_S = 5.0
"""The longest time that `triptych run` waits for requests in progress when it is stopped. Service
managers send SIGKILL about ten seconds after SIGTERM, and that would leave Postgres running."""


@command()
async def run(
    call: Invocation,
    brand: BrandArgument,
    urls: UrlsArgument = None,
    source: SourceOption = None,
    replace: ReplaceOption = False,
    key: KeyOption = None,
    ignore_query: IgnoreQueryOption = None,
) -> bool:
    """Run a brand through all three phases in this process.

    The exit code is 0 only if the run committed.
    """
    with collecting_nothing():
        from triptych.cli.log_output import say
        from triptych.client import open_socket_client
        from triptych.wiring.local import open_local
        from triptych.wiring.private_server import serve_privately

    check_urls(urls, source)
    source = given_source(source, key, ignore_query)
    settings = call.settings(source=source)
    drain_s = min(settings.drain_s, RUN_DRAIN_S)
    try:
        async with (
            open_local(settings.model_copy(update={"drain_s": drain_s}), say=say) as local,
            serve_privately(local.services) as socket,
            open_socket_client(socket) as client,
        ):
            opened = await client.start(
                brand, source=source, urls=urls or None, replace=replace, joined=_say_joined
            )
            return await follow_run(call, client.watch(opened.id))
    except asyncio.CancelledError:
        say(f"Stopped. `triptych run {brand}` goes on where this stopped.")
        raise


@command(server=True)
async def submit(
    call: Invocation,
    brand: BrandArgument,
    urls: UrlsArgument = None,
    source: SourceOption = None,
    upload: Annotated[
        Path | None,
        typer.Option(
            "--upload",
            metavar="FILE",
            help="A list on this machine: it is sent to the server, and is the source.",
        ),
    ] = None,
    watch: WatchOption = False,
    replace: ReplaceOption = False,
    key: KeyOption = None,
    ignore_query: IgnoreQueryOption = None,
) -> bool:
    """Start a run of a brand on the running workers.

    If the brand has an active run, that run is shown instead.
    """
    from triptych.cli.log_output import say
    from triptych.cli.upload_commands import reading, said
    from triptych.errors import BadInput

    check_urls(urls, source)
    if upload is None:
        source = given_source(source, key, ignore_query)
    elif urls or source is not None:
        raise BadInput("There is another source, too, and a run has one.", field="--upload")
    async with call.open_client() as client:
        if upload is not None:
            with reading(upload, "--upload"):
                made = await client.upload(upload)
            say(said(made))
            source = given_source(made.source, key, ignore_query)
        opening = client.start(
            brand, source=source, urls=urls or None, replace=replace, joined=_say_joined
        )
        return await show_opened(call, client, opening, watch=watch)


def _say_joined(active: Run) -> None:
    from triptych.cli.log_output import say

    place = f" of {active.source}" if active.source else ""
    say(f"{active.brand} has an active run already{place}: {active.id} is shown.")


@command(server=True)
async def reembed(call: Invocation, brand: BrandArgument, watch: WatchOption = False) -> bool:
    """Embed a brand again with the configured model.

    The stored objects are read; nothing is downloaded.
    """
    async with call.open_client() as client:
        return await show_opened(call, client, client.reembed(brand), watch=watch)


async def show_opened(
    call: Invocation, client: Client, opening: Awaitable[Run], *, watch: bool
) -> bool:
    """Print an opened run, or follow it to its end; return False if it ended without a commit."""
    opened = await opening
    if watch:
        return await follow_run(call, client.watch(opened.id))
    show_run(call, opened)
    return True


async def follow_run(call: Invocation, states: AsyncIterator[Run]) -> bool:
    """Show a run's progress and its end; return whether it committed."""
    from triptych.cli.progress_bars import follow
    from triptych.cli.tables import print_run
    from triptych.model import RunState

    last = await follow(states, json=call.json)
    if last is not None and not call.json:
        print_run(last)
    return last is not None and last.state is RunState.COMMITTED


RUNS_LISTED = 20
TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]
SinceOption = Annotated[
    datetime | None,
    typer.Option(formats=TIMES, metavar="DATE", help="Only opened then or later [all]."),
]
UntilOption = Annotated[
    datetime | None, typer.Option(formats=TIMES, metavar="DATE", help="Only opened before [all].")
]


@command(server=True)
async def runs(
    call: Invocation,
    brand: Annotated[str | None, typer.Option(help="Only this brand's [all].")] = None,
    state: Annotated[
        list[str] | None,
        typer.Option(help="Only: active, held, committed, failed or cancelled; repeatable [all]."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only: full, add, reembed or restore; repeatable [all]."),
    ] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    stalled: Annotated[
        bool, typer.Option("--stalled", help="Only active runs of which nothing moves.")
    ] = False,
    held: Annotated[
        bool, typer.Option("--held", help="Only runs that wait for a decision.")
    ] = False,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Maximum number of runs.")
    ] = RUNS_LISTED,
) -> None:
    """List runs, newest first.

    Times are this machine's. With --stalled and --held, runs of either are listed.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_runs

    states = [_known_state(name) for name in state or ()]
    kinds = [_known_kind(name) for name in kind or ()]
    async with call.open_client() as client:
        found = await client.runs(
            brand=brand,
            states=states,
            kinds=kinds,
            since=None if since is None else since.astimezone(),
            until=None if until is None else until.astimezone(),
            stalled=stalled,
            held=held,
            limit=limit,
        )
    if call.json:
        print_json({"items": found})
    else:
        print_runs(found, stalled=stalled and not held)


def _known_kind(name: str) -> RunKind:
    from triptych.errors import BadInput
    from triptych.model import RunKind

    try:
        return RunKind(name)
    except ValueError:
        raise BadInput(
            f"There is no kind {name!r}.",
            field="--kind",
            remedy=f"Name one of {', '.join(kind.value for kind in RunKind)}.",
        ) from None


def _known_state(name: str) -> RunState:
    from triptych.errors import BadInput
    from triptych.model import RunState

    try:
        return RunState(name)
    except ValueError:
        raise BadInput(
            f"There is no state {name!r}.",
            field="--state",
            remedy=f"Name one of {', '.join(state.value for state in RunState)}; a run that is "
            "stalled is active: `triptych runs --stalled`.",
        ) from None


def show_run(call: Invocation, found: Run) -> None:
    """Print a run, for people or as JSON."""
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_run

    (print_json if call.json else print_run)(found)


@command(server=True)
async def status(
    call: Invocation,
    name: Annotated[
        str | None,
        typer.Argument(metavar="[BRAND|RUN]", help="A brand, or a run's id [all brands]."),
    ] = None,
) -> None:
    """Show all brands and the queues, or one run.

    Of a brand its newest run is shown.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_brands, print_queues, print_stalled

    async with call.open_client() as client:
        if name is not None:
            found = await find_run(client, name)
            show_run(call, found)
            if found.stalled and not call.json:
                pace = await client.pace(found.id)
                print_stalled(found, await client.workers(), pace.last_try)
            return
        brands, depths = await client.brands(), await client.depths()
    if call.json:
        print_json({"brands": brands, "queues": depths})
        return
    print_brands(brands)
    print_queues(depths)


async def find_run(client: Client, name: str) -> Run:
    """Return the run with that id, or the newest run of the brand with that name.

    Raises:
        RunNotFound: no run has that id.
        BrandNotFound: it is not an id, and no brand with that name has a run.
    """
    from triptych.errors import BrandNotFound

    try:
        return await client.run(UUID(name))
    except ValueError:
        pass  # It is a brand's name.
    try:
        newest = (await client.brand(name, fresh=True)).latest
    except BrandNotFound:
        newest = None
    if newest is None:
        raise BrandNotFound(
            f"There is no brand or run {name!r}.", remedy="`triptych status` lists the brands."
        )
    return newest


def known_reason(name: str) -> Reason:
    """Return the reason of a failure that has this name.

    Raises:
        BadInput: there is none.
    """
    from triptych.errors import BadInput
    from triptych.model import Reason

    try:
        return Reason(name)
    except ValueError:
        raise BadInput(
            f"There is no reason {name!r}.",
            field="--reason",
            remedy="`triptych failures RUN` shows a run's reasons.",
        ) from None


@command(server=True)
async def failures(
    call: Invocation,
    name: RunArgument,
    examples: Annotated[
        int, typer.Option(min=1, max=1000, help="Examples of each reason.")
    ] = FAILURE_EXAMPLES,
) -> None:
    """Show why items of a run failed, with examples.

    Rows without a URL are shown, too.
    """
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import print_failures, print_refused_rows

    async with call.open_client() as client:
        found = await find_run(client, name)
        groups = await client.failures(found.id, examples=examples)
        refused = await client.refused_rows(found.id)
    if call.json:
        print_json({"items": groups, "refused_rows": refused})
    else:
        print_failures(groups)
        print_refused_rows(refused, examples)


@command(server=True)
async def timeline(
    call: Invocation,
    name: RunArgument,
    after: Annotated[int, typer.Option(min=0, help="Only events after this number.")] = 0,
) -> None:
    """List what happened to a run, in order."""
    import orjson

    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, local_time, shown

    async with call.open_client() as client:
        found = await find_run(client, name)
        events = [event async for event in client.timeline(found.id, after=after)]
    if call.json:
        print_json({"items": events})
        return
    for event in events:
        data = orjson.dumps(event.data).decode()[:EVENT_MAX_CHARS] if event.data else ""
        console.print(
            f"{event.seq:>5}  {local_time(event.at)}  {shown(event.kind)}  [dim]{shown(data)}[/]",
            soft_wrap=True,
        )
