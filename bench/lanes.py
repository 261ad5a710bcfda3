"""Contenders: each a program of its own, started anew for each round, measured from outside.

A round is what a program does between being told to go and saying that it is done. Starting it is
not in it. Its CPU-seconds are those of all processes below it, its database or broker included.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from bench.spending import STEP_S, Peak, cpu_s, tree
from bench.track import CHANNEL

ROOT = Path(__file__).resolve().parents[1]
WORK = ROOT / ".work" / "bench"
PEERS = ROOT / ".venv-peers" / "bin" / "python"
READY_S = 900.0
"""Also for filling a database with a million rows."""
ROUND_S = 3600.0
STOP_S = 30.0
REST_S = 0.5
REST_CPU_S = 0.1
"""A program is at rest when all its processes took no more than that in `REST_S`."""
REST_MAX_S = 10.0
LOG_TAIL = 3000


class LaneFailed(Exception):
    """A contender ended or stood still; says what it wrote last."""


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
        return Spent(
            max(self.wall_s - start.wall_s, 1e-9),
            max(self.cpu_s - start.cpu_s, STEP_S),
            self.peak_bytes,
            self.told,
        )


@dataclass(frozen=True)
class Contender:
    """A program to be measured."""

    name: str
    module: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    python: Path = Path(sys.executable)
    environment: Mapping[str, str] = field(default_factory=dict)


class Lane:
    """A contender that runs."""

    def __init__(self, contender: Contender, folder: Path) -> None:
        self._contender = contender
        self._log = folder / "log"
        mine, its = socket.socketpair()
        mine.settimeout(READY_S)
        self._channel = mine
        self._lines = mine.makefile("r", encoding="utf-8")
        arguments = {**contender.arguments, "folder": str(folder)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(contender.python), "-m", contender.module, json.dumps(arguments)],
                cwd=ROOT,
                pass_fds=[its.fileno()],
                env={**os.environ, **contender.environment, CHANNEL: str(its.fileno())},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        its.close()
        self.told = self._hear()
        self._come_to_rest()

    @property
    def pid(self) -> int:
        """Return the root of its processes."""
        return self._process.pid

    def run(self, **order: object) -> Spent:
        """Let it carry out an order and return what that took."""
        self._channel.settimeout(ROUND_S)
        with Peak(self.pid) as peak:
            cpu, wall = cpu_s(self.pid), time.perf_counter()
            self._channel.sendall(json.dumps(order).encode() + b"\n")
            told = self._hear()
            wall, cpu = time.perf_counter() - wall, cpu_s(self.pid) - cpu
        return Spent(wall, max(cpu, STEP_S), peak.bytes, told)

    def log_tail(self) -> str:
        """Return what it wrote last."""
        return self._log.read_text(errors="replace")[-LOG_TAIL:]

    def _come_to_rest(self) -> None:
        """Wait until what it has started has started: until its processes do next to nothing."""
        until = time.monotonic() + REST_MAX_S
        spent = cpu_s(self.pid)
        while time.monotonic() < until:
            time.sleep(REST_S)
            before, spent = spent, cpu_s(self.pid)
            if spent - before < REST_CPU_S:
                return

    def close(self) -> None:
        """End it, and whatever it leaves."""
        left = tree(self.pid)[1:]
        self._lines.close()
        self._channel.close()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            left = tree(self.pid)[1:]
            self._process.kill()
            self._process.wait()
        for process in left:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue

    def _hear(self) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except TimeoutError:
            line = ""
        if not line:
            raise LaneFailed(f"{self._contender.name} ended or stood still:\n{self.log_tail()}")
        told: dict[str, Any] = json.loads(line)
        return told


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
        yield lane
    except Exception as error:
        error.add_note(f"{contender.name} wrote last:\n{lane.log_tail()}")
        raise
    finally:
        lane.close()


def interleaved(
    works: Mapping[str, Callable[[], Any]], rounds: int, tell: Callable[[str], None]
) -> dict[str, list[Any]]:
    """Do each of some works once a round, each round begun by another one; return all results."""
    names = list(works)
    found: dict[str, list[Any]] = {name: [] for name in names}
    for number in range(rounds):
        at = number % len(names)
        for name in names[at:] + names[:at]:
            begun = time.monotonic()
            found[name].append(works[name]())
            tell(f"round {number + 1} of {rounds}: {name}, {time.monotonic() - begun:.0f} s")
    return found


def laned(
    contenders: Sequence[Contender], measure: Callable[[Lane], Any]
) -> dict[str, Callable[[], Any]]:
    """Return works that start a contender, measure it and end it."""

    def work(contender: Contender) -> Any:
        with running(contender) as lane:
            return measure(lane)

    return {each.name: (lambda each=each: work(each)) for each in contenders}
