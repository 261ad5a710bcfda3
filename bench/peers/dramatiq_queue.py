"""Dramatiq on Redis: a group with a completion callback. It always acknowledges late."""

from __future__ import annotations

import os
import time

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend

from bench.peers.fan_in import REDELIVERY_S, URL, called_back

AT_ONCE = 8
"""Threads of a process, its default."""

broker = RedisBroker(url=os.environ[URL], heartbeat_timeout=REDELIVERY_S * 1000)
broker.add_middleware(GroupCallbacks(RedisBackend(url=os.environ[URL])))
dramatiq.set_broker(broker)


@dramatiq.actor
def nothing(work_ms: int) -> None:
    if work_ms:
        time.sleep(work_ms / 1000)


@dramatiq.actor
def done(run: str) -> None:
    called_back(run)


def worker(processes: int) -> list[str]:
    options = ["--processes", str(processes), "--threads", str(AT_ONCE)]
    return ["dramatiq", "bench.peers.dramatiq_queue", *options]


def send(run: str, items: int, work_ms: int) -> None:
    members = dramatiq.group([nothing.message(work_ms) for _ in range(items)])
    members.add_completion_callback(done.message(run))
    members.run()
