"""The shapes that the demo runs in: each opens a Triptych that knows the source."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aws_local.cloud import open_cloud
from aws_local.guard import Guard
from rich.console import Console

from demo.compared_reads import Answered
from triptych.client import Client, open_client
from triptych.embedded.data_folder import POSTGRES
from triptych.errors import SettingsError
from triptych.live.websocket_server import server_options
from triptych.runtime.asgi_server import address, bind, serve
from triptych.settings.settings import Settings
from triptych.wiring.local import Local, open_local
from triptych.wiring.web_server import open_web

EMBEDDED = "embedded"
AWS = "aws"
RATE = 100_000
"""Requests a second that the demo may make: seventy brands are looked at page by page."""
DRAIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Stage:
    """An open Triptych."""

    client: Client
    data: Path
    """Where a report of it may be written."""
    answered: Answered | None = None
    """Counts the reads that MongoDB answers; None where there is none."""


@asynccontextmanager
async def embedded(data: Path, source: str, console: Console) -> AsyncIterator[Stage]:
    """Everything in this process, beside an embedded Postgres; the dashboard is served, too."""
    settings = Settings.load(
        data=data, fetch_allow="127.0.0.0/8", source=source, api_rate=RATE, api_burst=RATE
    )
    with Guard() as guard, _listen(settings) as listening:
        console.print(f"Watch it at {address(listening)}")
        async with (
            open_local(settings) as local,
            _served(local, listening),
            open_client(address(listening)) as client,
        ):
            # Killed, it would leave a database on a folder that the next demo deletes.
            guard.watch(_postmaster(settings.data), signal.SIGINT)
            yield Stage(client, settings.data)


def _postmaster(data: Path) -> int:
    """Return the process id of the database in a data folder."""
    return int((data / POSTGRES / "postmaster.pid").read_text().partition("\n")[0])


def _listen(settings: Settings) -> socket.socket:
    """Bind the usual port, or a free one if something has that."""
    try:
        return bind(settings.api_host, settings.api_port)
    except SettingsError:
        return bind(settings.api_host, 0)


@asynccontextmanager
async def _served(local: Local, listening: socket.socket) -> AsyncIterator[None]:
    """Serve the API and the dashboard meanwhile."""
    stop = asyncio.Event()
    async with open_web(local.services) as app:
        serving = asyncio.create_task(
            serve(app, listening, stop, drain_s=DRAIN_S, **server_options())
        )
        try:
            yield
        finally:
            stop.set()
            await serving


@asynccontextmanager
async def aws(data: Path, source: str, console: Console) -> AsyncIterator[Stage]:
    """Two API, two live and three worker processes on SQS, S3, Postgres and MongoDB."""
    knobs = {"source": source, "api_rate": RATE, "api_burst": RATE}
    async with (
        open_cloud(data, settings=knobs) as cloud,
        open_client(cloud.url, cloud.key) as client,
    ):
        console.print(f"Watch it at {cloud.url}, with the key {cloud.key}")
        yield Stage(client, data, cloud.read_by_mongodb)


SHAPES: dict[str, Callable[[Path, str, Console], AbstractAsyncContextManager[Stage]]] = {
    EMBEDDED: embedded,
    AWS: aws,
}
