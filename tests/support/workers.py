"""Real processes around a real database: workers that can be killed, images to fetch."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
from aiohttp import web
from PIL import Image

from triptych.database.session import Database
from triptych.messages import QUEUES

PICTURES = 20
"""Different pictures; URLs share them, as a brand's URLs do."""
RESTART_S = 0.2


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


def write_manifest(folder: Path, base: str, brand: str, urls: int) -> str:
    """Write a brand's CSV and return the source that names it."""
    path = folder / f"{brand}.csv"
    lines = ["url,position", *(f"{base}/{brand}/{n}.png,{n}" for n in range(urls))]
    path.write_text("\n".join(lines))
    return f"manifest:{path}"


def environment(dsn: str, data: Path, **settings: object) -> dict[str, str]:
    """Return a worker's environment: quick to notice what is lost."""
    knobs: dict[str, object] = {
        "database_url": dsn,
        "data": data,
        "embedder": "none",
        "fetch_allow": "127.0.0.0/8",
        "api_rate": 100_000,
        "api_burst": 100_000,
        "visibility_s": 4,
        "sweep_s": 0.5,
        "stalled_s": 1.5,
        "resend_s": 2,
        "outbox_s": 1,
        "max_receives": 1000,
        **settings,
    }
    ours = {f"TRIPTYCH_{name.upper()}": str(value) for name, value in knobs.items()}
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **ours}


class Workers:
    """Worker processes that are killed without warning and started again."""

    def __init__(
        self,
        count: int,
        env: dict[str, str],
        rng: random.Random,
        phases: tuple[str, ...] = ("gather", "acquire", "ai"),
    ) -> None:
        self._count = count
        self._env = env
        self._rng = rng
        self._phases = phases
        self.processes: list[Process] = []
        self.kills = 0

    async def __aenter__(self) -> Workers:
        for _ in range(self._count):
            self.processes.append(await self._spawn())
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                await process.wait()
                raise

    async def _spawn(self) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "triptych", "worker", *self._phases),
            env=self._env,
            stdout=DEVNULL,
            stderr=None if "TRIPTYCH_TEST_SHOW" in os.environ else DEVNULL,
            start_new_session=True,
        )

    async def kill_one(self) -> None:
        """SIGKILL a worker at whatever it is doing, and start another in its place."""
        number = self._rng.randrange(self._count)
        self.processes[number].kill()
        await self.processes[number].wait()
        self.kills += 1
        self.processes[number] = await self._spawn()


async def duplicate_messages(database: Database, share: float) -> None:
    """From now on let the queues deliver that share of messages twice."""
    for queue in QUEUES:
        await database.fetch(
            f"""
            create or replace function "duplicate {queue}"() returns trigger language plpgsql as $$
            begin
                insert into pgmq."q_{queue}" (vt, message, headers)
                values (clock_timestamp(), new.message, new.headers);
                return null;
            end
            $$"""
        )
        await database.fetch(
            f"""
            create trigger duplicate after insert on pgmq."q_{queue}" for each row
            when (pg_trigger_depth() = 0 and random() < {share})
            execute function "duplicate {queue}"()"""
        )
