"""Fan-in with a task queue on Redis: so many tasks that do nothing, then one callback.

The queue is one of the modules beside this: it says how its workers are started and how the tasks
are sent. The callback pushes on a list, which is waited for here.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import redis

from bench.track import Track

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

    def __init__(self, command: list[str], count: int) -> None:
        self._command = command
        self._running = [self._start() for _ in range(count)]

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command, start_new_session=True)

    def kill_one(self) -> None:
        """Kill a worker and all its processes, and start another one."""
        killed = self._running.pop(0)
        os.killpg(killed.pid, signal.SIGKILL)
        killed.wait()
        self._running.append(self._start())

    def stop(self) -> None:
        """End all."""
        for process in self._running:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def start_redis(arguments: dict[str, Any]) -> redis.Redis:
    """Start the broker below this process, and note its URL for the workers."""
    port = arguments["port"]
    subprocess.Popen(
        [*arguments["redis"], "--dir", arguments["folder"]],
        env={**os.environ, **arguments["redis_environment"]},
    )
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            break
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
    os.environ[URL] = f"redis://127.0.0.1:{port}"
    return redis.Redis.from_url(os.environ[URL], socket_timeout=None)


def main() -> None:
    track = Track()
    arguments = track.arguments
    broker = start_redis(arguments)
    queue = importlib.import_module(f"bench.peers.{arguments['queue']}")
    # One worker with a process a core, as is the default; of two one is killed.
    killing, cores = arguments["kill"], arguments["cores"]
    workers = Workers(queue.command(1 if killing else cores), 2 if killing else 1)
    send = queue.sender()

    def fan_in(run: str, items: int, work_ms: int) -> None:
        sending = threading.Thread(target=send, args=(run, items, work_ms), daemon=True)
        sending.start()
        if work_ms:
            time.sleep(KILLED_AT * items * work_ms / 1000 / queue.at_once(1) / 2)
            workers.kill_one()

    def wait(run: str, seconds: float) -> bool:
        return broker.blpop([callbacks(run)], timeout=seconds) is not None

    send("first", 10, 0)
    if not wait("first", START_S):
        sys.exit("the workers do not work")
    track.say()
    while (order := track.order()) is not None:
        run, items, work_ms = order["run"], order["items"], order["work_ms"]
        fan_in(run, items, work_ms)
        if not killing:
            if not wait(run, WAIT_S):
                sys.exit("no callback")
            track.say()
            continue
        begun = time.monotonic()
        fired = int(wait(run, PATIENCE_S))
        seconds = time.monotonic() - begun
        # A second one comes, if it does, with what the killed worker held.
        while fired and wait(run, 2 * REDELIVERY_S):
            fired += 1
        track.say(fired=fired, seconds=seconds)
    workers.stop()


if __name__ == "__main__":
    main()
