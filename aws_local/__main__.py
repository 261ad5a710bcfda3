"""``make aws-local``: the AWS shape on this machine, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import signal
import sys
from pathlib import Path

from aws_local.child_server import taken
from aws_local.cloud import open_cloud

FOLDER = Path(".triptych-aws")
PORT = 8380


async def serve(folder: Path, port: int) -> None:
    """Run it until told to stop, empty at its start: the emulator forgets, so do the databases."""
    for kept in ("database", "mongodb"):
        await asyncio.to_thread(shutil.rmtree, folder / kept, ignore_errors=True)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with open_cloud(folder, port=port) as cloud:
        print(f"The AWS shape is up at {cloud.url}/api/v1, logs in {folder}/.")
        print(f"export TRIPTYCH_SERVER={cloud.url} TRIPTYCH_SERVER_KEY={cloud.key}")
        print(f"export TRIPTYCH_READS_URL='{cloud.mongodb.url}'")
        print(f"export TRIPTYCH_DATABASE_URL='{cloud.database_url}'", flush=True)
        await stop.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m aws_local")
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--port", type=int, default=PORT)
    given = parser.parse_args()
    if taken(given.port):
        sys.exit(
            f"error: The port {given.port} is taken; `python -m aws_local --port` takes another."
        )
    sys.exit(asyncio.run(serve(given.data, given.port)))
