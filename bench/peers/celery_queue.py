"""Celery on Redis: a chord. Acknowledged late, and again if a worker is lost."""

from __future__ import annotations

import os
import time

from celery import Celery, chord

from bench.peers.fan_in import REDELIVERY_S, URL, called_back

AT_ONCE = 1
"""Tasks that a process works on."""

app = Celery("bench", broker=os.environ[URL], backend=os.environ[URL])
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    # Its guide's for many short tasks.
    worker_prefetch_multiplier=64,
    broker_transport_options={"visibility_timeout": REDELIVERY_S},
    result_backend_transport_options={"visibility_timeout": REDELIVERY_S},
    broker_connection_retry_on_startup=True,
)


@app.task
def nothing(work_ms: int) -> None:
    if work_ms:
        time.sleep(work_ms / 1000)


@app.task
def done(run: str) -> None:
    called_back(run)


def worker(processes: int) -> list[str]:
    options = ["-c", str(processes), "-l", "warning"]
    return ["celery", "-A", "bench.peers.celery_queue", "worker", *options]


def send(run: str, items: int, work_ms: int) -> None:
    chord((nothing.si(work_ms) for _ in range(items)), done.si(run)).delay()
