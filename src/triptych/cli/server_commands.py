"""Commands that run Triptych's processes on this machine until they are stopped."""

from __future__ import annotations

from typing import Annotated

import typer

from triptych.cli.invocation import Invocation, command
from triptych.cli.options import WithParentOption

# A command's imports are deferred until it runs, so that `--help` is quick.

LIVE_PORT = 8701
HostOption = Annotated[str | None, typer.Option("--host", help="Address to listen on [127.0.0.1].")]
PortOption = Annotated[
    int | None, typer.Option("--port", help="Port to listen on [8321]; 0 for a free one.")
]
LivePortOption = Annotated[int, typer.Option("--port", help="Port to listen on; 0 for a free one.")]


@command(json_logs=True)
async def up(call: Invocation, host: HostOption = None, port: PortOption = None) -> None:
    """Run everything: database, queues, workers, API and dashboard.

    Ctrl-C or SIGTERM stops it.
    """
    from triptych.cli.server_processes import serve

    settings = call.settings(api_host=host, api_port=port)
    await serve(settings, json=call.json, debug=call.debug)


@command(json_logs=True)
async def api(
    call: Invocation,
    host: HostOption = None,
    port: PortOption = None,
    fd: Annotated[int | None, typer.Option(hidden=True, help="A listening socket.")] = None,
    with_parent: WithParentOption = False,
) -> None:
    """Serve the API and the dashboard.

    At Ctrl-C or SIGTERM the requests in progress are finished.
    """
    from triptych.cli.server_processes import serve_api

    settings = call.settings(api_host=host, api_port=port)
    await serve_api(settings, fd=fd, with_parent=with_parent)


@command(json_logs=True)
async def worker(
    call: Invocation,
    phases: Annotated[
        list[str], typer.Argument(metavar="PHASE...", help="Phases to serve: gather, acquire, ai.")
    ],
    with_parent: WithParentOption = False,
) -> None:
    """Serve phases from the queues.

    At Ctrl-C or SIGTERM the messages in progress are finished.
    """
    from triptych.cli.server_processes import serve_phases

    await serve_phases(call.settings(), phases, with_parent=with_parent)


@command(json_logs=True)
async def live(call: Invocation, host: HostOption = None, port: LivePortOption = LIVE_PORT) -> None:
    """Serve live status over WebSocket.

    At Ctrl-C or SIGTERM clients are asked to reconnect.
    """
    from triptych.cli.server_processes import serve_live

    await serve_live(call.settings(api_host=host, api_port=port))
