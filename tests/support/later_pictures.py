"""Pictures of which most come only when a test says so: a run is under way until then."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support.picture_server import picture

URLS = 40
AT_ONCE = 15
"""Pictures that are there from the start."""


class Pictures:
    """Pictures on loopback, most of which come only when they are released."""

    def __init__(self) -> None:
        self.released = asyncio.Event()
        self.asked = asyncio.Event()
        """One that comes later was asked for."""
        self.port = 0

    def urls(self, folder: str = "") -> list[str]:
        """Return the pictures' URLs: those that come later have a host of their own."""
        hosts = ["127.0.0.1"] * AT_ONCE + ["127.0.0.2"] * (URLS - AT_ONCE)
        return [f"http://{host}:{self.port}/{folder}{n}.png" for n, host in enumerate(hosts)]

    async def answer(self, request: web.BaseRequest) -> web.Response:
        number = re.search(r"/(\d+)\.png$", request.path)
        if number is None:
            return web.Response(status=404)
        if int(number[1]) >= AT_ONCE:
            self.asked.set()
            await self.released.wait()
        return web.Response(body=picture(int(number[1])), content_type="image/png")


@asynccontextmanager
async def pictures() -> AsyncIterator[Pictures]:
    made = Pictures()
    runner = web.ServerRunner(web.Server(made.answer), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.port = runner.addresses[0][1]
    await web.TCPSite(runner, "127.0.0.2", made.port).start()
    try:
        yield made
    finally:
        made.released.set()
        await runner.cleanup()
