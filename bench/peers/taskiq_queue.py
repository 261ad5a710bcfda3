"""taskiq on Redis streams. It has no fan-in: the sender waits for all results, then sends on.

Acknowledged when a result is saved, which is its default and its latest.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from taskiq import gather
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from bench.peers.fan_in import REDELIVERY_S, URL, called_back

AT_ONCE = 100
"""Tasks of a process at a time, its default; as many are sent at a time."""

broker = RedisStreamBroker(
    url=os.environ[URL],
    idle_timeout=REDELIVERY_S * 1000,
    unacknowledged_lock_timeout=REDELIVERY_S,
    consumer_id="0",
).with_result_backend(RedisAsyncResultBackend(redis_url=os.environ[URL], result_ex_time=600))


@broker.task
async def nothing(work_ms: int) -> None:
    if work_ms:
        await asyncio.sleep(work_ms / 1000)


@broker.task
async def done(run: str) -> None:
    await asyncio.to_thread(called_back, run)


def worker(processes: int) -> list[str]:
    options = ["--workers", str(processes), "--log-level", "WARNING"]
    return ["taskiq", "worker", "bench.peers.taskiq_queue:broker", *options]


async def fan_in(run: str, items: int, work_ms: int) -> None:
    await broker.startup()
    sent: list[Any] = []
    while len(sent) < items:
        count = min(AT_ONCE, items - len(sent))
        sent += await asyncio.gather(*(nothing.kiq(work_ms) for _ in range(count)))
    await gather(*sent)
    await done.kiq(run)
    await broker.shutdown()


def send(run: str, items: int, work_ms: int) -> None:
    asyncio.run(fan_in(run, items, work_ms))
