"""``make aws-local``: the AWS shape on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from aws_local.cloud import open_cloud

FOLDER = Path(".triptych-aws")
PORT = 8380


async def serve() -> None:
    """Run it until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_cloud(FOLDER, port=PORT) as cloud:
        print(f"The AWS shape is up at {cloud.url}/api/v1, logs in {FOLDER}/.")
        print(f"export TRIPTYCH_SERVER={cloud.url} TRIPTYCH_SERVER_KEY={cloud.key}")
        print(f"export TRIPTYCH_DATABASE_URL='{cloud.database_url}'", flush=True)
        await stop.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(serve()))
