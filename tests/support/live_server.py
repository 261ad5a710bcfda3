"""What tests of live status stand on: a real server on a real socket, and the spine under it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from triptych.access.authenticator import Authenticator
from triptych.access.host_policy import HostPolicy
from triptych.access.key_cache import ApiKeyCache
from triptych.access.rate_limiter import RateLimiter
from triptych.database.session import Database
from triptych.gather.urls import item_key
from triptych.live.limits import Limits
from triptych.live.live_app import LiveApp, open_live_app
from triptych.live.websocket_server import DRAIN_S, server_options
from triptych.model import ItemResult, NewItem, Policy, Reason, Run, RunKind
from triptych.queues.pgmq import PgmqQueue
from triptych.runtime.asgi_server import bind, serve
from triptych.wiring.stores import Stores, postgres_stores

POLICY = Policy(tolerated_failures=0, max_attempts=3, deadline_s=3600)
PATIENCE_S = 30.0
WINDOW = 500


@dataclass
class LiveServer:
    """A server, and the database that it tells of."""

    app: LiveApp
    url: str
    database: Database
    stores: Stores
    queue: PgmqQueue
    stop: asyncio.Event

    async def open(self, brand: str = "nike") -> Run:
        opened = await self.stores.runs.open_run(
            brand,
            run_id=uuid4(),
            kind=RunKind.FULL,
            source="manifest:x",
            policy=POLICY,
            enqueue_gather_message=False,
        )
        return opened.run

    async def expect(self, run_id: UUID, count: int, start: int = 0) -> list[NewItem]:
        """A page of the source; tells of it in the timeline."""
        urls = [f"https://x/{number}" for number in range(start, start + count)]
        items = [NewItem(item_key(url), url, {}) for url in urls]
        await self.stores.runs.expect(run_id, items, cursor=str(start + count), limit=WINDOW)
        return items

    async def settle(self, run_id: UUID, items: list[NewItem]) -> None:
        results = [ItemResult(item.key, None, Reason.NOT_FOUND, "404") for item in items]
        await self.stores.runs.settle(run_id, results, limit=WINDOW)

    async def finish(self, run_id: UUID) -> Run:
        """End a run: with everything failed and nothing tolerated it fails."""
        await self.stores.runs.seal(run_id)
        await self.stores.runs.commit(run_id)
        return await self.stores.runs.run(run_id)


class Client:
    """A bare client: JSON in and out."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **frame: Any) -> None:
        await self.socket.send(json.dumps(frame))

    async def hear(self) -> dict[str, Any]:
        frame = json.loads(await asyncio.wait_for(self.socket.recv(), PATIENCE_S))
        assert isinstance(frame, dict)
        return frame

    async def closed(self) -> tuple[int, str]:
        """Hear the rest, and return how the server closed the connection."""
        try:
            while True:
                await self.hear()
        except ConnectionClosed as closed:
            return (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd is not None else (0, "")

    async def until(self, kind: str, **having: Any) -> dict[str, Any]:
        """Skip to the next frame of a type."""
        while True:
            frame = await self.hear()
            if frame["type"] == kind and having.items() <= frame.items():
                return frame

    async def subscribe(self, *topics: str, after: int | None = None) -> None:
        wanted = [
            {"topic": topic, **({"after": after} if after is not None else {})} for topic in topics
        ]
        await self.say(type="subscribe", topics=wanted)
        await self.until("subscribed")


def open_authenticator(stores: Stores) -> Authenticator:
    """A gate that lets in who comes by a name of loopback's."""
    rates = RateLimiter(100_000, 100_000)
    sites = HostPolicy((), (), any_host=False)
    return Authenticator(sites, ApiKeyCache(stores.access), rates, open_=True, balancer=None)


@asynccontextmanager
async def open_live_server(
    dsn: str, *, limits: Limits | None = None, **options: Any
) -> AsyncIterator[LiveServer]:
    database = Database(dsn)
    stores = postgres_stores(database, run_cap_s=3600)
    queue = PgmqQueue(database, max_receives=10)
    stop = asyncio.Event()
    try:
        async with open_live_app(
            stores, queue, authenticator=open_authenticator(stores), limits=limits or Limits()
        ) as app:
            with bind("127.0.0.1", 0) as listener:
                configured = {"drain_s": DRAIN_S, **server_options(), **options}
                serving = asyncio.create_task(serve(app, listener, stop, **configured))
                url = f"ws://127.0.0.1:{listener.getsockname()[1]}/ws"
                try:
                    yield LiveServer(app, url, database, stores, queue, stop)
                finally:
                    stop.set()
                    await serving
    finally:
        await queue.close()
        await stores.close()


@asynccontextmanager
async def client(server: LiveServer, **options: Any) -> AsyncIterator[Client]:
    async with connect(server.url, proxy=None, **options) as socket:
        opened = Client(socket)
        assert (await opened.hear())["type"] == "hello"
        yield opened
