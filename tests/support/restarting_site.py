"""A picture server on loopback that can be stopped and started again on its port."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.support.picture_server import PICTURES, picture

Answer = Callable[[web.Request], web.StreamResponse | None]


class RestartingSite:
    """Serves ``/<number>.png``; counts the requests of each path.

    ``answer`` may answer in the pictures' place.
    """

    def __init__(self, host: str) -> None:
        self.host = host
        self.port = 0
        self.requests: Counter[str] = Counter()
        self.robots = 0
        self.answer: Answer = lambda _request: None
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen, on the port of before if there was one."""
        app = web.Application()
        app.router.add_get("/robots.txt", self._robots)
        app.router.add_get("/{number}.png", self._get)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more and close every connection: what is requested now is refused."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    def url(self, number: int) -> str:
        """Return the URL of a picture."""
        return f"http://{self.host}:{self.port}/{number}.png"

    async def _robots(self, _request: web.Request) -> web.Response:
        self.robots += 1
        raise web.HTTPNotFound

    async def _get(self, request: web.Request) -> web.StreamResponse:
        self.requests[request.path] += 1
        if (answer := self.answer(request)) is not None:
            return answer
        body = picture(int(request.match_info["number"]) % PICTURES)
        return web.Response(body=body, content_type="image/png")


@asynccontextmanager
async def restarting_site(host: str = "127.0.0.1") -> AsyncIterator[RestartingSite]:
    """Start a site, and stop it at the end."""
    site = RestartingSite(host)
    await site.start()
    try:
        yield site
    finally:
        await site.stop()


def write_list(folder: Path, urls: list[str], name: str = "urls") -> str:
    """Write a manifest of these URLs and return the source that names it."""
    path = folder / f"{name}.csv"
    path.write_text("\n".join(["url", *urls]))
    return f"manifest:{path}"
