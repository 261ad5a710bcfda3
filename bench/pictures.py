"""Photographs for the bench: generated JPEGs of about 50 kB, served over HTTP on loopback."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from aiohttp import web
from PIL import Image

DIFFERENT = 50
SIDE = 640


def picture(number: int) -> bytes:
    """Return a JPEG of about 50 kB: smooth colour with some noise, as photographs have."""
    rng = np.random.default_rng(number)
    coarse = Image.fromarray(rng.integers(0, 255, (12, 16, 3), np.uint8))
    smooth = np.asarray(coarse.resize((SIDE, SIDE * 3 // 4), Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(smooth + rng.normal(0, 9, smooth.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _serve(pipe: Connection) -> None:
    async def run() -> None:
        pictures = [picture(number) for number in range(DIFFERENT)]

        async def get(request: web.Request) -> web.Response:
            body = pictures[int(request.match_info["number"]) % DIFFERENT]
            return web.Response(body=body, content_type="image/jpeg")

        app = web.Application()
        app.router.add_get("/{number}.jpg", get)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        pipe.send(runner.addresses[0][1])
        await asyncio.get_running_loop().run_in_executor(None, pipe.recv)
        await runner.cleanup()

    asyncio.run(run())


@asynccontextmanager
async def serve() -> AsyncIterator[str]:
    """Serve ``/<number>.jpg`` from a process of its own, so that its CPU is not ours."""
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(theirs,))
    server.start()
    try:
        port = await asyncio.to_thread(ours.recv)
        yield f"http://127.0.0.1:{port}"
    finally:
        ours.send(None)
        await asyncio.to_thread(server.join, 30)


def write_manifest(folder: Path, base: str, urls: int) -> str:
    """Write a CSV of URLs and return the source that names it."""
    path = folder / "urls.csv"
    path.write_text("\n".join(["url", *(f"{base}/{number}.jpg" for number in range(urls))]))
    return f"manifest:{path}"
