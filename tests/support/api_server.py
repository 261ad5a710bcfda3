"""A real API server on a real database, filled with some of everything; and a client for it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
from pydantic import TypeAdapter

from tests.support.sealing import KEY
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.dead_letters.dead_letter_store import DeadLetter
from triptych.gather.urls import item_key
from triptych.live.websocket_server import server_options
from triptych.messages import AI_QUEUE, URL_QUEUE, Headers, Phase
from triptych.model import (
    Colour,
    Insight,
    ItemResult,
    NewItem,
    Policy,
    Reason,
    Run,
    RunKind,
    Staged,
)
from triptych.objects import object_key, open_store
from triptych.queues.queue import Queue
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runtime.asgi_server import address, bind, serve
from triptych.settings.settings import Settings
from triptych.wire import Wire, encode
from triptych.wiring.services import Services, connect
from triptych.wiring.stores import Stores
from triptych.wiring.web_server import open_web
from triptych.wiring.worker_process import open_worker

POLICY = Policy(tolerated_failures=0.9, max_attempts=3, deadline_s=3600, max_removed=1.0)
WINDOW = 500
HOST = "triptych.example"
"""The host name of servers that ask for a key."""
SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
HTML = b"<script>alert(1)</script>"


@dataclass(frozen=True)
class Reply:
    """An answer, read whole."""

    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        import orjson

        return orjson.loads(self.body)


@dataclass
class Api:
    """A server and what is behind it."""

    url: str
    services: Services
    session: aiohttp.ClientSession
    stop: asyncio.Event
    serving: asyncio.Task[None]

    @property
    def stores(self) -> Stores:
        return self.services.stores

    @property
    def queue(self) -> Queue:
        return self.services.queue

    @property
    def registry(self) -> ActiveBrandRegistry:
        return self.services.registry

    async def __call__(self, method: str, path: str, **options: Any) -> Reply:
        at = path if path.startswith(("/healthz", "/readyz", "/metrics")) else f"/api/v1{path}"
        async with self.session.request(
            method, f"{self.url}{at}", allow_redirects=False, **options
        ) as response:
            return Reply(response.status, response.headers, await response.read())

    async def get(self, path: str, **options: Any) -> Reply:
        return await self("GET", path, **options)

    async def post(self, path: str, **options: Any) -> Reply:
        return await self("POST", path, **options)


def settings_for(dsn: str, data: Path, **overrides: Any) -> Settings:
    return Settings.load(
        **{
            "data": data,
            "database_url": dsn,
            "embedder": "none",
            "decoders": 1,
            "sealing_key": KEY,
            "api_rate": 100_000.0,
            "api_burst": 100_000,
            **overrides,
        }
    )


@asynccontextmanager
async def serving(dsn: str, data: Path, **overrides: Any) -> AsyncIterator[Api]:
    settings = settings_for(dsn, data, **overrides)
    async with connect(settings, dsn) as services, open_web(services) as app:
        stop = asyncio.Event()
        listening = bind("127.0.0.1", 0)
        task = asyncio.create_task(serve(app, listening, stop, drain_s=10, **server_options()))
        async with aiohttp.ClientSession() as session:
            yield Api(address(listening), services, session, stop, task)
            stop.set()
            await task
        listening.close()


@asynccontextmanager
async def serving_with_keys(
    dsn: str, data: Path, **overrides: Any
) -> AsyncIterator[tuple[Api, dict[str, str]]]:
    """Serve with keys of a reader and an operator, made before: a guarded server wants one."""
    settings = settings_for(dsn, data, **overrides)
    async with connect(settings, dsn) as services:
        tokens = await create_keys(services.stores)
    async with serving(dsn, data, **overrides) as api:
        yield api, tokens


def check_described(kind: type[Wire], shown: object) -> None:
    """Fail unless an answer has exactly the fields and types that the description promises."""
    TypeAdapter(kind).validate_json(encode(shown))


async def commit(
    stores: Stores, brand: str, contents: dict[str, tuple[bytes, str]], *, failed: int = 0
) -> Run:
    """Commit a run of a brand whose URLs have these bytes and types, and some that failed."""
    run_id = uuid4()
    await stores.runs.open_run(
        brand,
        run_id=run_id,
        kind=RunKind.FULL,
        source="catalog:https://user:secret@stores.example",
        policy=POLICY,
        enqueue_gather_message=False,
    )
    urls = [*contents, *(f"https://gone.example/{n}" for n in range(failed))]
    rows = [NewItem(item_key(url), url, {"alt": f"About {url}"}) for url in urls]
    for start in range(0, len(rows), WINDOW):
        await stores.runs.expect(run_id, rows[start : start + WINDOW], cursor=None, limit=10**6)
    results = [
        ItemResult(row.key, _staged(*contents[row.url]))
        if row.url in contents
        else ItemResult(row.key, None, Reason.NOT_FOUND, "404")
        for row in rows
    ]
    for start in range(0, len(results), WINDOW):
        await stores.runs.settle(run_id, results[start : start + WINDOW], limit=10**6)
    await stores.runs.seal(run_id)
    return await stores.runs.commit(run_id)


def _staged(body: bytes, media_type: str) -> Staged:
    sha256 = hashlib.sha256(body).digest()
    return Staged(
        sha256=sha256,
        object_key=object_key(sha256),
        media_type=media_type,
        size_bytes=len(body),
        width=4,
        height=3,
        phash=-7,
        embedding=None,
        model=None,
        colours=(Colour(int(sha256.hex()[:6], 16), 1.0),),
    )


async def put_objects(settings: Settings, contents: dict[str, tuple[bytes, str]]) -> None:
    store = open_store(settings.store_url, settings.data / "objects")
    for body, media_type in contents.values():
        await store.put(body, hashlib.sha256(body).digest(), media_type)


def pictures(count: int, *, salt: str = "") -> dict[str, tuple[bytes, str]]:
    return {
        f"https://x.example/{n}": (f"picture {n}{salt}".encode() * 50, "image/png")
        for n in range(count)
    }


async def fill(api: Api) -> dict[str, UUID]:
    """Some of everything that the API shows."""
    first = pictures(7)
    second = {
        **pictures(5),
        **pictures(2, salt="!"),
        "https://x.example/svg": (SVG, "image/svg+xml"),
    }
    await put_objects(api.services.settings, {**first, **second})
    old = await commit(api.stores, "nike", first, failed=3)
    new = await commit(api.stores, "nike", second, failed=2)
    await api.stores.ai.begin_ai("nike", new.id)
    await api.stores.ai.finish_ai(new.id, [Insight("duplicates", {"groups": []}, seconds=0.1)])
    opened = await api.registry.open("adidas", source="manifest:https://x.example/a.csv")
    await api.stores.dead_letters.record(
        DeadLetter(
            URL_QUEUE,
            "m1",
            {"brand": "nike", "url": "https://x.example/9", "metadata": {}},
            Headers(run_id=old.id, item_key=b"k" * 16).encode(),
            "received too often",
            old.id,
        )
    )
    await api.stores.dead_letters.record(
        DeadLetter(AI_QUEUE, "m2", "no object", {}, "invalid", None)
    )
    return {"old": old.id, "new": new.id, "active": opened.run.id}


async def commit_pictures(api: Api, brand: str = "nike", count: int = 6) -> UUID:
    """Commit a brand of pictures, their objects stored; return the run."""
    contents = pictures(count, salt=brand)
    await put_objects(api.services.settings, contents)
    return (await commit(api.stores, brand, contents)).id


@asynccontextmanager
async def running_worker(api: Api, *phases: Phase) -> AsyncIterator[None]:
    """Run a worker alongside the server: of some phases, or of all if none is named."""
    stop = asyncio.Event()
    async with open_worker(api.services, phases or list(Phase)) as worker:
        task = asyncio.create_task(worker.run(stop))
        try:
            yield
        finally:
            stop.set()
            await task


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def create_keys(api: Api | Stores) -> dict[str, str]:
    """Create a reader's, an operator's and a revoked key; return their tokens by name."""
    stores = api.stores if isinstance(api, Api) else api
    tokens = {name: new_token() for name in ("reader", "operator", "revoked")}
    for name, token in tokens.items():
        scope = Scope.OPERATOR if name == "operator" else Scope.READER
        await stores.access.create_key(name, scope, digest(token))
    await stores.access.revoke_key("revoked")
    return tokens
