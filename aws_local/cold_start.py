"""``python -m aws_local.cold_start``: how long a function takes to start and, warm, to answer.

Measured with the runtime client of AWS; on AWS the image has to be fetched, too.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
from pathlib import Path

import aiohttp

from aws_local.cloud import BUCKET
from aws_local.database import served_database
from aws_local.emulator import REGION, Emulator
from aws_local.functions import LambdaProcess
from triptych.settings.settings import Settings
from triptych.wiring.services import migrate_database

WARM = 20
TIMEOUT_S = 60.0


async def measure() -> None:
    """Print seconds for some functions, each in a fresh process."""
    with tempfile.TemporaryDirectory() as folder, Emulator(Path(folder) / "emulator") as emulator:
        os.environ.update(emulator.environment)
        async with (
            served_database(Path(folder) / "database") as dsn,
            aiohttp.ClientSession() as session,
        ):
            place = f"<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint>"
            body = f"{place}</CreateBucketConfiguration>"
            (await session.put(f"{emulator.endpoint}/{BUCKET}", data=body)).raise_for_status()
            knobs = {
                "database_url": dsn,
                "queue_url": f"sqs://{REGION}/cold-",
                "store_url": f"s3://{BUCKET}",
            }
            await migrate_database(Settings.load(data=Path(folder), **knobs))
            ours = {f"TRIPTYCH_{name.upper()}": value for name, value in knobs.items()}
            environment = {**os.environ, **ours, "TRIPTYCH_DATA": str(Path(folder) / "data")}
            for function, embedder in (
                ("sweep", "none"),
                ("acquire", "none"),
                ("acquire", "bundled"),
            ):
                await _measure(function, {**environment, "TRIPTYCH_EMBEDDER": embedder})


async def _measure(function: str, environment: dict[str, str]) -> None:
    handler = f"triptych.aws_lambda.handlers.{function}"
    event: object = {}
    if function != "sweep":
        record = {
            "messageId": "m",
            "receiptHandle": "r",
            "body": '{"brand": "nobody", "url": "not a URL"}',
            "attributes": {"ApproximateReceiveCount": "1"},
            "messageAttributes": {
                # Of a run that never was: answered without any work.
                "triptych-run": {"stringValue": "00000000-0000-0000-0000-000000000000"},
                "triptych-item": {"stringValue": "00" * 16},
            },
            "eventSourceARN": f"arn:aws:sqs:{REGION}:000000000000:cold-url-process-queue",
        }
        event = {"Records": [record]}
    async with LambdaProcess(handler, environment, timeout_s=TIMEOUT_S) as process:
        first = await process.invoke(event)
        warm = [(await process.invoke(event)).seconds for _ in range(WARM)]
    print(
        f"{function} ({environment['TRIPTYCH_EMBEDDER']}): init {process.init_s:.2f} s, "
        f"first {first.seconds:.2f} s ({'ok' if first.ok else first.body}), "
        f"warm {statistics.median(warm) * 1000:.0f} ms",
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(measure())
