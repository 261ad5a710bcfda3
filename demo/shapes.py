"""The shapes that the demo runs in; each yields the desk of a Triptych that knows the source."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from aws_local.cloud import open_cloud

from triptych.cli.desk import Desk, LocalDesk, RemoteDesk
from triptych.client import open_client
from triptych.local import open_local
from triptych.settings import Settings

EMBEDDED = "embedded"
AWS = "aws"
RATE = 100_000
"""Requests that the demo's key may make: seventy brands are looked at page by page."""


@asynccontextmanager
async def embedded(data: Path, source: str) -> AsyncIterator[Desk]:
    """Everything in this process, beside an embedded Postgres."""
    settings = Settings.load(data=data, fetch_allow="127.0.0.0/8", source=source)
    async with open_local(settings) as local:
        yield LocalDesk(settings, local.parts)


@asynccontextmanager
async def aws(data: Path, source: str) -> AsyncIterator[Desk]:
    """Two API, two live and three worker processes on SQS, S3 and Postgres, behind nginx."""
    knobs = {"source": source, "api_rate": RATE, "api_burst": RATE, "embed_threads": 1}
    async with (
        open_cloud(data, settings=knobs) as cloud,
        open_client(cloud.url, cloud.key) as client,
    ):
        yield RemoteDesk(client)


SHAPES: dict[str, Callable[[Path, str], AbstractAsyncContextManager[Desk]]] = {
    EMBEDDED: embedded,
    AWS: aws,
}
