"""Commands that pause and slow phases and hosts while everything runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from triptych.cli.help_pages import HelpCommand, HelpGroup
from triptych.cli.invocation import Invocation, command

if TYPE_CHECKING:
    # A command's imports are deferred until it runs, so that `--help` is quick.
    from triptych.api.limits import HostState, PhaseState
    from triptych.client import Client
    from triptych.messages import Phase

PhaseArgument = Annotated[
    str, typer.Argument(metavar="PHASE", help="One of gather, acquire and ai.")
]
HostArgument = Annotated[
    str, typer.Argument(metavar="HOST", help="A host's exact name, without scheme and port.")
]
OffOption = Annotated[bool, typer.Option("--off", help="As in the settings again.")]

phases = typer.Typer(
    name="phases",
    cls=HelpGroup,
    help="Pause, resume and slow phases.\n\nWorkers finish what they hold.",
    no_args_is_help=True,
)
hosts = typer.Typer(
    name="hosts",
    cls=HelpGroup,
    help="Pause, resume and slow hosts.\n\nItems of a paused host wait.",
    no_args_is_help=True,
)


@phases.command("list", cls=HelpCommand)
@command(server=True)
async def list_phases(call: Invocation) -> None:
    """Show the phases, what is set for each and who serves it."""
    async with call.open_client() as client:
        await _show_phases(call, client)


@phases.command("pause", cls=HelpCommand)
@command(server=True)
async def pause_phase(call: Invocation, phase: PhaseArgument) -> None:
    """Pause a phase: workers take no more of its messages."""
    await _put_phase(call, phase, paused=True)


@phases.command("resume", cls=HelpCommand)
@command(server=True)
async def resume_phase(call: Invocation, phase: PhaseArgument) -> None:
    """Let a paused phase go on."""
    await _put_phase(call, phase, paused=False)


@phases.command("limit", cls=HelpCommand)
@command(server=True)
async def limit_phase(
    call: Invocation,
    phase: PhaseArgument,
    concurrency: Annotated[
        int | None,
        typer.Argument(metavar="[NUMBER]", min=1, help="Messages at a time in each worker."),
    ] = None,
    off: OffOption = False,
) -> None:
    """Limit how many messages of a phase each worker works on."""
    from triptych.errors import BadInput

    if (concurrency is not None) is off:
        raise BadInput("Give a number, or --off.", field="NUMBER")
    known = _known_phase(phase)
    async with call.open_client() as client:
        now = await _phase(client, known)
        await client.put_phase(known, paused=now.paused, concurrency=concurrency)
        await _show_phases(call, client)


async def _put_phase(call: Invocation, phase: str, *, paused: bool) -> None:
    known = _known_phase(phase)
    async with call.open_client() as client:
        now = await _phase(client, known)
        await client.put_phase(known, paused=paused, concurrency=now.concurrency)
        await _show_phases(call, client)


async def _phase(client: Client, phase: Phase) -> PhaseState:
    """Return what is set for a phase now, since setting it replaces all of it."""
    return next(each for each in await client.phases() if each.phase is phase)


def _known_phase(name: str) -> Phase:
    from triptych.errors import BadInput
    from triptych.messages import Phase

    try:
        return Phase(name)
    except ValueError:
        raise BadInput(
            f"There is no phase {name!r}.",
            field="PHASE",
            remedy=f"Name one of {', '.join(phase.value for phase in Phase)}.",
        ) from None


async def _show_phases(call: Invocation, client: Client) -> None:
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console, local_time, shown

    found = await client.phases()
    if call.json:
        print_json({"items": found})
        return
    for each in found:
        state = "[green]goes on[/]"
        if each.paused:
            since = f" since {local_time(each.paused_at)}" if each.paused_at else ""
            by = f" by {shown(each.paused_by)}" if each.paused_by else ""
            state = f"[yellow]paused{since}{by}[/]"
        most = f", {each.concurrency:,} at a time in each" if each.concurrency else ""
        are = "worker" if each.workers == 1 else "workers"
        console.print(
            f"{each.phase.value:<8} {state}  {each.workers:,} {are}{most}", soft_wrap=True
        )


@hosts.command("list", cls=HelpCommand)
@command(server=True)
async def list_hosts(call: Invocation) -> None:
    """Show the hosts that are limited, and those with traffic now."""
    async with call.open_client() as client:
        await _show_hosts(call, client)


@hosts.command("pause", cls=HelpCommand)
@command(server=True)
async def pause_host(call: Invocation, host: HostArgument) -> None:
    """Pause a host: its items wait, without an attempt."""
    async with call.open_client() as client:
        now = await _limits_of(client, host)
        await client.put_host(
            host, paused=True, concurrency=now.concurrency, per_second=now.per_second
        )
        await _show_hosts(call, client)


@hosts.command("resume", cls=HelpCommand)
@command(server=True)
async def resume_host(call: Invocation, host: HostArgument) -> None:
    """Let a paused host go on; its other limits stay."""
    async with call.open_client() as client:
        now = await _limits_of(client, host)
        if now.concurrency is None and now.per_second is None:
            await client.drop_host(host)
        else:
            await client.put_host(
                host, paused=False, concurrency=now.concurrency, per_second=now.per_second
            )
        await _show_hosts(call, client)


@hosts.command("limit", cls=HelpCommand)
@command(server=True)
async def limit_host(
    call: Invocation,
    host: HostArgument,
    concurrency: Annotated[
        int | None,
        typer.Option("--concurrency", min=1, help="Requests at a time from each worker."),
    ] = None,
    per_second: Annotated[
        float | None,
        typer.Option("--per-second", help="Requests a second from each worker."),
    ] = None,
) -> None:
    """Limit the requests to a host.

    A limit that is not given stays as it is.
    """
    from triptych.errors import BadInput

    if concurrency is None and per_second is None:
        raise BadInput(
            "No limit is given.",
            field="--concurrency or --per-second",
            remedy="`triptych hosts reset` takes all limits away.",
        )
    async with call.open_client() as client:
        now = await _limits_of(client, host)
        await client.put_host(
            host,
            paused=now.paused,
            concurrency=concurrency or now.concurrency,
            per_second=per_second or now.per_second,
        )
        await _show_hosts(call, client)


@hosts.command("reset", cls=HelpCommand)
@command(server=True)
async def relimitshost(call: Invocation, host: HostArgument) -> None:
    """Take a host's limits away; if it is paused, it goes on."""
    async with call.open_client() as client:
        await client.drop_host(host)
        await _show_hosts(call, client)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What is set for a host."""

    paused: bool = False
    concurrency: int | None = None
    per_second: float | None = None


async def _limits_of(client: Client, host: str) -> _Limits:
    """Return what is set for a host now, since setting it replaces all of it."""
    name = host.lower().rstrip(".")
    for each in (await client.hosts()).items:
        if each.host == name:
            return _Limits(each.paused, each.concurrency, each.per_second)
    return _Limits()


async def _show_hosts(call: Invocation, client: Client) -> None:
    from triptych.cli.json_output import print_json
    from triptych.cli.tables import console

    found = await client.hosts()
    if call.json:
        print_json(found)
        return
    for each in found.items:
        _print_host(each)
    if found.left_out:
        console.print(f"{found.left_out:,} more hosts with traffic", style="dim")
    if not found.items:
        console.print("No host is limited, and none has traffic now.", style="dim")


def _print_host(each: HostState) -> None:
    from triptych.cli.tables import console, local_time, shown

    limits = []
    if each.paused:
        since = f" since {local_time(each.paused_at)}" if each.paused_at else ""
        limits.append(f"[yellow]paused{since}[/]")
    if each.concurrency is not None:
        limits.append(f"{each.concurrency:,} at a time")
    if each.per_second is not None:
        limits.append(f"{each.per_second:g} a second")
    console.print(
        f"{shown(each.host)}  {', '.join(limits) or 'no limits of its own'}  "
        f"[dim]{each.requests:,} requests under way, {each.waiting:,} items wait[/]",
        soft_wrap=True,
    )
