"""An origin that serves as many different pictures as are asked for, as fast or slowly as told."""

from __future__ import annotations

import asyncio
import colorsys
import io
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import lru_cache

from aiohttp import web
from PIL import Image, ImageDraw

SIDE = 160
BROKEN_S = 600
"""Seconds after which what is broken wants to be asked again."""
FAMILIES = 7
"""Kinds of pictures, so that there is something to find groups in."""


@lru_cache(maxsize=4096)
def picture(number: int) -> bytes:
    """Return a PNG that no other number has."""
    dice = random.Random(number)
    family = number % FAMILIES
    hue = (family / FAMILIES + dice.uniform(-0.03, 0.03)) % 1
    ground, ink = _colour(hue, 0.35, 0.95), _colour(hue + 0.08, 0.75, 0.55)
    image = Image.new("RGB", (SIDE, SIDE), ground)
    draw = ImageDraw.Draw(image)
    for _ in range(3 + family):
        x, y = dice.randrange(SIDE), dice.randrange(SIDE)
        size = dice.randrange(12, 70)
        box = (x - size, y - size, x + size, y + size)
        shade = _colour(hue + dice.uniform(-0.1, 0.2), dice.uniform(0.3, 0.9), dice.random())
        if family % 3 == 0:
            draw.ellipse(box, fill=shade, outline=ink)
        elif family % 3 == 1:
            draw.rectangle(box, fill=shade, outline=ink)
        else:
            draw.polygon([(x, y - size), (x + size, y + size), (x - size, y + size)], fill=shade)
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=1)
    return out.getvalue()


def _colour(hue: float, saturation: float, value: float) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return int(red * 255), int(green * 255), int(blue * 255)


class Origin:
    """What is served: ``/list/COUNT/MISSING.csv`` and its pictures, the missing ones as 404.

    ``hold()`` lets requests for pictures wait until ``release()``; ``mend()`` brings the missing
    ones back, and lets ``/broken/NUMBER.png`` answer, which until then asks to be asked again
    in ten minutes.
    """

    def __init__(self) -> None:
        self.url = ""
        self.mended = False
        self._open = asyncio.Event()
        self._open.set()
        self.served = 0

    def hold(self, after: int = 0) -> None:
        """Let pictures wait, after so many more of them."""
        self._left = after
        self._open.clear()

    def release(self) -> None:
        """Serve what waits."""
        self._open.set()

    def mend(self) -> None:
        """Serve what was missing."""
        self.mended = True

    def source(self, count: int, missing: int = 0, start: int = 0) -> str:
        """Return the source of a brand of so many pictures, some of them missing."""
        return f"manifest:{self.url}/list/{count}/{missing}/{start}.csv"

    async def listing(self, request: web.Request) -> web.Response:
        """List pictures, every row with a title, the missing ones first."""
        count, missing, start = (int(request.match_info[n]) for n in ("count", "missing", "start"))
        rows = [f"{self.url}/missing/{start + n}.png,Missing {n}" for n in range(missing)]
        rows += [f"{self.url}/picture/{start + n}.png,Picture {n}" for n in range(count - missing)]
        return web.Response(text="\n".join(["url,title", *rows]), content_type="text/csv")

    async def picture(self, request: web.Request) -> web.Response:
        """Serve one picture."""
        if not self._open.is_set():
            self._left -= 1
            if self._left < 0:
                await self._open.wait()
        self.served += 1
        return self._png(request)

    async def missing(self, request: web.Request) -> web.Response:
        """Answer 404, until mended."""
        if not self.mended:
            raise web.HTTPNotFound
        return self._png(request)

    async def broken(self, request: web.Request) -> web.Response:
        """Answer 500, until mended."""
        if not self.mended:
            raise web.HTTPInternalServerError(headers={"Retry-After": str(BROKEN_S)})
        return self._png(request)

    def _png(self, request: web.Request) -> web.Response:
        body = picture(int(request.match_info["number"]))
        return web.Response(body=body, content_type="image/png")


@asynccontextmanager
async def serve_origin(port: int = 0) -> AsyncIterator[Origin]:
    """Serve on a free port of loopback."""
    origin = Origin()
    app = web.Application()
    routes: list[tuple[str, Callable[[web.Request], Awaitable[web.StreamResponse]]]] = [
        ("/list/{count}/{missing}/{start}.csv", origin.listing),
        ("/picture/{number}.png", origin.picture),
        ("/missing/{number}.png", origin.missing),
        ("/broken/{number}.png", origin.broken),
    ]
    for path, handler in routes:
        app.router.add_get(path, handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        origin.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield origin
    finally:
        origin.release()
        await runner.cleanup()
