"""Contenders: each a program of its own, started again for each round, measured from outside.

A round is what a program does between being told to go and saying that it is done. Starting it is
not in it. Its CPU-seconds are those of all processes below it, its database or broker included.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, TypeVar

import psutil

from bench.paths import ROOT, WORK
from bench.spending import STEP_S, cpu_s, peak_memory, tree

READY_S = 900.0
"""Also for filling a database with a million rows."""
ROUND_S = 3600.0
STOP_S = 30.0
REST_S = 0.5
REST_CPU_S = 0.1
"""A program is at rest when all its processes took no more than that in `REST_S`."""
REST_MAX_S = 10.0
LOG_TAIL = 3000

Tell = Callable[[str], None]
T = TypeVar("T")


LISTS_ANYWHERE = {"TRIPTYCH_SOURCE_FOLDERS": "/"}
"""The bench writes its lists where it works."""


class LaneFailed(Exception):
    """A contender ended or stood still."""


@dataclass(frozen=True)
class Spent:
    """What a round took."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    told: Mapping[str, Any]
    """What the program said of it."""

    def less(self, start: Spent) -> Spent:
        """Return this without what ``start`` took: a round that did next to nothing."""
        wall, cpu = max(self.wall_s - start.wall_s, 1e-9), max(self.cpu_s - start.cpu_s, STEP_S)
        return Spent(wall, cpu, self.peak_bytes, self.told)


@dataclass(frozen=True)
class Contender:
    """A program to be measured."""

    name: str
    program: str
    """``module:name``, as `bench.program` takes it."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    python: Path = Path(sys.executable)
    environment: Mapping[str, str] = field(default_factory=dict)


class Lane:
    """A contender that runs."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self.name = contender.name
        self._channel, its = Pipe()
        with its, (folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [contender.python, "-m", "bench.program", contender.program, str(its.fileno())],
                cwd=ROOT,
                pass_fds=[its.fileno()],
                env={**LISTS_ANYWHERE, **os.environ, **contender.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.pid = self._process.pid
        """The root of its processes."""
        self._channel.send({**contender.arguments, "folder": str(folder)})

    def start(self) -> None:
        """Wait until it is ready, and what it has started does next to nothing."""
        self.told = self._hear(READY_S)
        until = time.monotonic() + REST_MAX_S
        before, spent = float("-inf"), cpu_s(self.pid)
        while spent - before >= REST_CPU_S and time.monotonic() < until:
            time.sleep(REST_S)
            before, spent = spent, cpu_s(self.pid)

    def run(self, **order: object) -> Spent:
        """Let it carry out an order and return what that took."""
        with peak_memory(self.pid) as peak:
            cpu, wall = cpu_s(self.pid), time.perf_counter()
            self._channel.send(order)
            told = self._hear(ROUND_S)
            wall, cpu = time.perf_counter() - wall, cpu_s(self.pid) - cpu
        return Spent(wall, max(cpu, STEP_S), peak.bytes, told)

    def close(self) -> None:
        """End it, and whatever it leaves."""
        below = tree(self.pid)[1:]
        self._channel.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            below += tree(self.pid)[1:]
            self._process.kill()
            self._process.wait()
        for process in below:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def _hear(self, poll_wait_s: float) -> Mapping[str, Any]:
        try:
            if self._channel.poll(poll_wait_s):
                told: Mapping[str, Any] = self._channel.recv()
                return told
        except (EOFError, ConnectionResetError):
            raise LaneFailed(f"{self.name} ended") from None
        raise LaneFailed(f"{self.name} stood still")


@contextmanager
def running(contender: Contender) -> Iterator[Lane]:
    """Start a contender in a new folder of its own; end it.

    The folder stays until the bench ends: a file system that has just deleted many files takes
    longer to make others, so whoever comes next would pay for it.
    """
    folder = WORK / "lanes" / f"{contender.name.replace(' ', '-')}-{time.time_ns()}"
    folder.mkdir(parents=True)
    lane = Lane(contender, folder)
    try:
        lane.start()
        yield lane
    except Exception as error:
        log = (folder / "log").read_text(errors="replace")
        error.add_note(f"{contender.name} wrote last:\n{log[-LOG_TAIL:]}")
        raise
    finally:
        lane.close()


def interleaved(
    works: Mapping[str, Callable[[], T]], rounds: int, tell: Tell
) -> dict[str, list[T]]:
    """Do each of some works once a round, each round begun by another one; return all results."""
    names = list(works)
    found: dict[str, list[T]] = {name: [] for name in names}
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            begun = time.monotonic()
            found[name].append(works[name]())
            tell(f"round {number + 1} of {rounds}: {name}, {time.monotonic() - begun:.0f} s")
    return found


def measured(
    contenders: Sequence[Contender], measure: Callable[[Lane], T], rounds: int, tell: Tell
) -> dict[str, list[T]]:
    """Start each contender in each round, measure it and end it; return its figures by its name."""

    def work(contender: Contender) -> T:
        with running(contender) as lane:
            return measure(lane)

    return interleaved({each.name: partial(work, each) for each in contenders}, rounds, tell)


def figures(
    found: Mapping[str, Sequence[T]], figure: Callable[[T], float]
) -> dict[str, list[float]]:
    """Return one figure of each result."""
    return {name: [figure(each) for each in every] for name, every in found.items()}
