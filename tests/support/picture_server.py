"""Servers of small pictures on loopback, and the manifests that list them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest
from aiohttp import web
from PIL import Image

PICTURES = 20
"""Different pictures; URLs share them, as a brand's URLs do."""


def picture(number: int) -> bytes:
    """Return a small PNG that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 255, (24, 24, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).resize((48, 48), Image.Resampling.NEAREST).save(buffer, "PNG")
    return buffer.getvalue()


@asynccontextmanager
async def serve_pictures() -> AsyncIterator[str]:
    """Serve ``/<anything>/<number>.png`` on loopback; every 50th is not there."""
    pictures = [picture(number) for number in range(PICTURES)]

    async def get(request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        if number % 50 == 49:
            raise web.HTTPNotFound
        return web.Response(body=pictures[number % PICTURES], content_type="image/png")

    app = web.Application()
    app.router.add_get("/{brand}/{number}.png", get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class Site:
    """An image server that a test can change while it runs."""

    def __init__(self) -> None:
        self.base = ""
        self.seed = 0
        self.hits = 0
        self.gone: set[int] = set()
        self.failing: dict[int, int] = {}
        self.instead: dict[int, bytes] = {}
        self.released: asyncio.Event | None = None
        self.etags = False
        """Whether it answers with 304 where a picture has not changed."""
        self.not_modified = 0

    async def get(self, request: web.Request) -> web.Response:
        number = int(request.match_info["number"])
        self.hits += 1
        if self.released is not None:
            await self.released.wait()
        if number in self.gone:
            raise web.HTTPNotFound
        if self.failing.get(number, 0):
            self.failing[number] -= 1
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "0"})
        etag = f'"{self.seed}-{number}"'
        if self.etags and request.headers.get("If-None-Match") == etag:
            self.not_modified += 1
            return web.Response(status=304)
        body = self.instead.get(number) or picture(self.seed + number)
        headers = {"ETag": etag} if self.etags else None
        return web.Response(body=body, content_type="image/png", headers=headers)


@asynccontextmanager
async def serve_site() -> AsyncIterator[Site]:
    """Run a `Site` on loopback."""
    site = Site()
    app = web.Application()
    app.router.add_get("/{brand}/{number}.png", site.get)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    site.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield site
    await runner.cleanup()


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serve_site() as site:
        yield site


def write_manifest(folder: Path, base: str, brand: str, urls: int) -> str:
    """Write a brand's CSV and return the source that names it."""
    path = folder / f"{brand}.csv"
    lines = ["url,position", *(f"{base}/{brand}/{n}.png,{n}" for n in range(urls))]
    path.write_text("\n".join(lines))
    return f"manifest:{path}"
