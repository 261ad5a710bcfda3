"""The demo's catalogue service and its image server: one HTTP server on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote

from aiohttp import web

from demo.world import Fault, Listing, World

PAGE = 10
RETRY_AFTER_S = 1
DROPS = 8
DROP_S = 0.04
HTML = b"<!doctype html><title>Please accept our cookies</title>"


@dataclass
class Service:
    """A running service."""

    url: str
    """Of the catalogue, for ``catalog:<url>``."""
    requests: int = 0
    tripped: set[str] = field(default_factory=set)
    """What has failed once already and answers from now on."""


@asynccontextmanager
async def serve(world: World) -> AsyncIterator[Service]:
    """Serve the world on a free port of 127.0.0.1."""
    service = Service("")
    handler = _Handler(world, service)
    app = web.Application()
    app.router.add_get("/catalogue", handler.catalogue)
    app.router.add_get("/images/{brand}/{name}", handler.image)
    app.router.add_get("/moved/{brand}/{name}", handler.moved)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        handler.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        service.url = f"{handler.base}/catalogue"
        yield service
    finally:
        await runner.cleanup()


class _Handler:
    def __init__(self, world: World, service: Service) -> None:
        self._world = world
        self._service = service
        self._listings = {
            (brand, entry.name): entry
            for brand, listings in world.brands.items()
            for entry in listings
        }
        self.base = ""

    def _first_time(self, what: str) -> bool:
        first = what not in self._service.tripped
        self._service.tripped.add(what)
        return first

    async def catalogue(self, request: web.Request) -> web.Response:
        """List a page of a brand; each brand's second page fails the first time."""
        self._service.requests += 1
        brand = request.query.get("brand", "")
        listings = self._world.brands.get(brand)
        if listings is None:
            raise web.HTTPNotFound(text=f"no brand {brand!r}")
        start = int(request.query.get("cursor", "0"))
        if start == PAGE and self._first_time(f"page of {brand}"):
            raise web.HTTPInternalServerError
        items = self._items(brand, listings[start : start + PAGE])
        more = start + PAGE < len(listings)
        return web.json_response({"items": items, "next": str(start + PAGE) if more else None})

    def _items(self, brand: str, listings: Sequence[Listing]) -> list[dict[str, object]]:
        return [
            {"url": self._address(brand, entry), "metadata": dict(entry.metadata)}
            for entry in listings
        ]

    def _address(self, brand: str, entry: Listing) -> str:
        if entry.fault is Fault.NO_URL:
            return entry.name
        path = f"images/{quote(brand)}/{quote(entry.name)}"
        if entry.fault is Fault.FTP:
            return f"ftp://127.0.0.1/{path}"
        return f"{self.base}/{path}"

    async def image(self, request: web.Request) -> web.StreamResponse:
        """Serve an image, or what is wrong with it."""
        self._service.requests += 1
        brand, name = request.match_info["brand"], request.match_info["name"]
        entry = self._listings.get((brand, name))
        if entry is None or entry.fault is Fault.MISSING:
            raise web.HTTPNotFound
        if entry.fault is Fault.THROTTLED_ONCE and self._first_time(f"{brand}/{name}"):
            raise web.HTTPTooManyRequests(headers={"Retry-After": str(RETRY_AFTER_S)})
        if entry.fault is Fault.UNAVAILABLE_ONCE and self._first_time(f"{brand}/{name}"):
            raise web.HTTPServiceUnavailable
        if entry.fault is Fault.REDIRECTED:
            raise web.HTTPMovedPermanently(f"/moved/{quote(brand)}/{quote(name)}")
        if entry.fault is Fault.POSING:
            return web.Response(body=HTML, content_type="image/png")
        if entry.fault is Fault.TRUNCATED:
            body = entry.file.read_bytes()
            return web.Response(body=body[: len(body) // 2], content_type="image/png")
        if entry.fault is Fault.SLOW:
            return await self._drip(request, entry)
        return web.FileResponse(entry.file)

    async def moved(self, request: web.Request) -> web.FileResponse:
        """Serve an image at the place that its redirect names."""
        self._service.requests += 1
        entry = self._listings[request.match_info["brand"], request.match_info["name"]]
        return web.FileResponse(entry.file)

    async def _drip(self, request: web.Request, entry: Listing) -> web.StreamResponse:
        body = entry.file.read_bytes()
        response = web.StreamResponse(headers={"Content-Type": "image/png"})
        response.content_length = len(body)
        await response.prepare(request)
        step = len(body) // DROPS + 1
        for start in range(0, len(body), step):
            await response.write(body[start : start + step])
            await asyncio.sleep(DROP_S)
        await response.write_eof()
        return response
