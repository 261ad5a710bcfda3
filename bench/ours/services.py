"""What programs of ours run below them: a Postgres of their own, and servers."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench.program import Given, until_listening
from triptych.cli.log_output import configure_logs
from triptych.settings.settings import Settings
from triptych.wiring.services import Services, connect, own_database


def settings_in(arguments: Given, **settings: Any) -> Settings:
    """Return the settings of a contender, whose data lie in its folder."""
    configure_logs(debug=False)
    return Settings.load(data=Path(arguments["folder"]) / "data", **settings)


@asynccontextmanager
async def own_parts(settings: Settings) -> AsyncIterator[tuple[Services, str]]:
    """Run a Postgres below this process; yield what speaks to it, and its address."""
    async with own_database(settings) as dsn, connect(settings, dsn) as parts:
        yield parts, dsn


@asynccontextmanager
async def server(*command: str, port: int, **environment: str) -> AsyncIterator[int]:
    """Run a server, a module and its arguments, until the end; yield its pid when it listens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *command), env={**os.environ, **environment}
    )
    try:
        await asyncio.to_thread(until_listening, port, lambda: process.returncode is None)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
