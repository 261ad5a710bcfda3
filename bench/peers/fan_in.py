"""Fan-in with a task queue on Redis: so many tasks that do nothing, then one callback.

The queue is one of the modules beside this: it says how its workers are started and how the tasks
are sent. The callback pushes on a list, which is waited for here.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import redis

from bench.peers.redis_server import start_redis
from bench.program import Given, Ready

START_S = 60.0
WAIT_S = 600.0
KILLED_AT = 0.4
"""Share of the work after which a worker is killed."""
REDELIVERY_S = 10
"""After which each queue gives a dead worker's messages to another."""
PATIENCE_S = 90.0
"""For the callback, once a worker was killed: nine times that."""
URL = "BENCH_REDIS"


def callbacks(run: str) -> str:
    """Return the list that a run's callback pushes on."""
    return f"callbacks:{run}"


def called_back(run: str) -> None:
    """Do what a callback does."""
    redis.Redis.from_url(os.environ[URL]).rpush(callbacks(run), 1)


class Workers:
    """A queue's worker processes."""

    def __init__(self, arguments: Sequence[str], count: int) -> None:
        self._command = [sys.executable, "-m", *arguments]
        self._running = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, start_new_session=True)

    def kill(self) -> None:
        """Kill the oldest and all its processes."""
        killed = self._running.pop(0)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()

    def replace(self) -> None:
        """Kill the oldest and start another one."""
        self.kill()
        self._running.append(self._start())

    def stop(self) -> None:
        """End all."""
        while self._running:
            self.kill()


@contextmanager
def queue(arguments: Given) -> Iterator[Ready]:
    os.environ[URL] = start_redis(arguments["folder"])
    broker = redis.Redis.from_url(os.environ[URL], socket_timeout=None)
    peer = importlib.import_module(f"bench.peers.{arguments['queue']}")
    # One worker with a process a core, as is the default; of two one is killed.
    killing, cores = arguments["kill"], arguments["cores"]
    workers = Workers(peer.worker(1 if killing else cores), 2 if killing else 1)

    def called(run: str, seconds: float) -> bool:
        return broker.blpop([callbacks(run)], timeout=seconds) is not None

    def killed(run: str, items: int, work_ms: int) -> Given:
        time.sleep(KILLED_AT * items * work_ms / 1000 / peer.AT_ONCE / 2)
        workers.replace()
        begun = time.monotonic()
        fired = int(called(run, PATIENCE_S))
        seconds = time.monotonic() - begun
        # A second one comes, if it does, with what the killed worker held.
        while fired and called(run, 2 * REDELIVERY_S):
            fired += 1
        return {"fired": fired, "seconds": seconds}

    def work(order: Given) -> Given | None:
        sent = order["run"], order["items"], order["work_ms"]
        threading.Thread(target=peer.send, args=sent, daemon=True).start()
        if killing:
            return killed(*sent)
        assert called(order["run"], WAIT_S), "no callback"
        return None

    peer.send("first", 10, 0)
    assert called("first", START_S), "the workers do not work"
    yield Ready(work)
    workers.stop()
