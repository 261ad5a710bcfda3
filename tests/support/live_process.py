"""`triptych live` as a process of its own."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

PATIENCE_S = 240.0


@asynccontextmanager
async def live_process(
    env: dict[str, str],
) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """`triptych live` in a process of its own; yields it and its port."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "triptych", "live", "--port", "0"),
        env=env,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        line = (await asyncio.wait_for(process.stderr.readline(), PATIENCE_S)).decode()
        found = re.search(r"ws://127\.0\.0\.1:(\d+)/ws", line)
        assert found, line
        yield process, int(found[1])
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
