"""Long-running processes: everything under one parent, or one component alone."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress

import typer

from triptych.cli.log_output import say
from triptych.errors import BadInput
from triptych.messages import Phase
from triptych.runtime.cancellation import cancel_on_failure
from triptych.settings.settings import Settings
from triptych.telemetry.cloudwatch_metrics import metric_lines
from triptych.telemetry.metrics import served_metrics
from triptych.telemetry.tracing import tracing
from triptych.wiring.services import connect, own_database, reach_database
from triptych.wiring.worker_process import check_wiring, open_worker
from triptych.workers.supervisor import WorkerProcesses

GC_THRESHOLDS = (5_000, 20, 50)
"""`gc.set_threshold`, instead of Python's 700, 10, 10: a worker holds hundreds of items, which each
collection scans. Few of their objects are in cycles, so not much waits for one."""


def configure_garbage_collection() -> None:
    """Have the garbage collector of this process run less often, and over what is new only.

    Objects that exist now are excluded until the process ends: scanning them repeatedly took a
    seventh of an API process' CPU time and caused its slowest answers. The thresholds save another
    tenth of a worker's. Only for processes of our own, because none of these objects is ever
    collected.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


@contextmanager
def stop_on_signal() -> Iterator[asyncio.Event]:
    """Yield an event that SIGINT or SIGTERM sets; a second SIGINT interrupts at once.

    A second SIGTERM changes nothing: `timeout` sends it to the process and to its group.
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def asked() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, asked)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


async def serve(settings: Settings, *, json: bool, debug: bool) -> None:
    """Run the database, the workers and the API until a signal; work is drained or returned.

    The API's socket is bound here, so its address is known, and connections are not refused while
    a server that died is restarted. A signal during the start ends that, whatever it waits for.
    """
    from triptych.runtime.asgi_server import address, bind
    from triptych.wiring.web_server import check_access

    with stop_on_signal() as stop, suppress(_StoppedEarly):
        async with AsyncExitStack() as stack:
            async with _interrupted_by(stop):
                dsn = await stack.enter_async_context(own_database(settings, say=say))
                await check_wiring(settings, dsn)
                await check_access(settings, dsn)
            with bind(settings.api_host, settings.api_port) as listening:
                typer.echo(_ready_line(settings, address(listening)), err=True)
                async with asyncio.TaskGroup() as group:
                    for processes in _processes(settings, listening.fileno(), json, debug):
                        group.create_task(processes.run(stop))
    typer.echo("Stopped.", err=True)


class _StoppedEarly(Exception):
    """A signal asked the process to stop before it was up."""


@asynccontextmanager
async def _interrupted_by(stop: asyncio.Event) -> AsyncIterator[None]:
    """Interrupt the block by `_StoppedEarly` when ``stop`` is set."""

    async def stopped() -> None:
        await stop.wait()
        raise _StoppedEarly

    waiting = asyncio.create_task(stopped())
    try:
        async with cancel_on_failure(waiting):
            yield
    finally:
        waiting.cancel()


def _processes(
    settings: Settings, listening: int, json: bool, debug: bool
) -> Sequence[WorkerProcesses]:
    program = [sys.executable, "-m", "triptych"]
    flags = [
        *("--with-parent", "--data", str(settings.data)),
        *(["--json"] if json else []),
        *(["--debug"] if debug else []),
    ]
    return [
        WorkerProcesses(
            [*program, "worker", *(phase.value for phase in Phase), *flags],
            count=settings.workers,
            drain_s=settings.drain_s,
        ),
        WorkerProcesses(
            [*program, "api", "--fd", str(listening), *flags],
            count=1,
            drain_s=settings.drain_s,
            name="api",
            pass_fds=[listening],
        ),
    ]


def _ready_line(settings: Settings, url: str) -> str:
    plural = "s" if settings.workers > 1 else ""
    return (
        f"Triptych is up: {settings.workers} worker{plural}, data in {settings.data}, "
        f"dashboard at {url}, API at {url}/api/v1. "
        "Submit a brand with `triptych submit BRAND --watch`; stop with Ctrl-C."
    )


async def serve_api(settings: Settings, *, fd: int | None, with_parent: bool) -> None:
    """Serve the API until a signal, or until the parent that holds stdin ends."""
    from triptych.live.websocket_server import server_options
    from triptych.runtime.asgi_server import address, bind
    from triptych.runtime.asgi_server import serve as serve_app
    from triptych.wiring.web_server import open_web

    with stop_on_signal() as stop:
        if with_parent:
            await _stop_at_end_of_stdin(stop)
        with tracing(settings.otlp_endpoint, role="api", share=settings.trace_share):
            async with (
                reach_database(settings, may_own=not with_parent, say=say) as dsn,
                connect(settings, dsn) as parts,
                open_web(parts) as app,
            ):
                given = socket.socket(fileno=fd) if fd is not None else None
                with given or bind(settings.api_host, settings.api_port) as listening:
                    if given is None:
                        typer.echo(f"The API is at {address(listening)}/api/v1.", err=True)
                    configure_garbage_collection()
                    async with metric_lines(settings.emf_namespace):
                        await serve_app(
                            app, listening, stop, drain_s=settings.drain_s, **server_options()
                        )
    if fd is None:
        typer.echo("Stopped.", err=True)


async def serve_phases(settings: Settings, names: Sequence[str], *, with_parent: bool) -> None:
    """Serve phases until a signal, or until the parent that holds stdin ends.

    Raises:
        BadInput: a name is not a phase's.
    """
    phases = [_phase(name) for name in dict.fromkeys(names)]
    with stop_on_signal() as stop:
        if with_parent:
            await _stop_at_end_of_stdin(stop)
        with (
            tracing(settings.otlp_endpoint, role="worker", share=settings.trace_share),
            served_metrics(settings.metrics_host, settings.metrics_port),
        ):
            async with (
                reach_database(settings, may_own=not with_parent, say=say) as dsn,
                connect(settings, dsn) as parts,
                open_worker(parts, phases) as worker,
            ):
                configure_garbage_collection()
                async with metric_lines(settings.emf_namespace):
                    await worker.run(stop)


async def serve_live(settings: Settings) -> None:
    """Serve live status alone until a signal.

    Raises:
        SettingsError: other machines could reach it and there are no keys, or the address is
            unavailable.
    """
    from triptych.live.websocket_server import DRAIN_S, server_options
    from triptych.runtime.asgi_server import address, bind
    from triptych.runtime.asgi_server import serve as serve_app
    from triptych.wiring.web_server import open_live_alone

    with stop_on_signal() as stop:
        async with (
            reach_database(settings, say=say) as dsn,
            connect(settings, dsn) as parts,
            open_live_alone(parts) as app,
        ):
            with bind(settings.api_host, settings.api_port) as listening:
                place = address(listening, "ws")
                typer.echo(f"Live status is at {place}/ws; stop with Ctrl-C.", err=True)
                configure_garbage_collection()
                async with metric_lines(settings.emf_namespace):
                    await serve_app(app, listening, stop, drain_s=DRAIN_S, **server_options())
    typer.echo("Stopped.", err=True)


def _phase(name: str) -> Phase:
    try:
        return Phase(name)
    except ValueError as error:
        raise BadInput(
            f"There is no phase {name!r}.",
            field="PHASE",
            remedy=f"Use one or more of: {', '.join(phase.value for phase in Phase)}.",
        ) from error


async def _stop_at_end_of_stdin(stop: asyncio.Event) -> None:
    class Parent(asyncio.Protocol):
        def connection_lost(self, _exc: Exception | None) -> None:
            stop.set()

        def eof_received(self) -> None:
            stop.set()

    await asyncio.get_running_loop().connect_read_pipe(Parent, sys.stdin)
