"""One process that is started again whenever it ends, as systemd or ECS would."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_local.guard import Guard

RESTART_S = 0.3
"""Seconds between an end and the next start."""
STOP_S = 60.0


@dataclass(frozen=True)
class Exit:
    """An end of a process."""

    at: float
    name: str
    code: int


class Service:
    """`triptych` with some arguments; what it writes is appended to a file."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        guard: Guard,
    ) -> None:
        self.name = name
        self._arguments = arguments
        self._environment = environment
        self._log = log
        self._guard = guard
        self._keeping: asyncio.Task[None] | None = None
        self._stop = False
        self.process: Process | None = None
        self.exits: list[Exit] = []
        """Ends before it was stopped."""
        self.starts: list[float] = []
        self.pause_s = RESTART_S

    def start(self) -> None:
        self._keeping = asyncio.create_task(self._keep())

    async def _keep(self) -> None:
        while not self._stop:
            self.process = process = await self._spawn()
            code = await process.wait()
            if not self._stop:
                self.exits.append(Exit(time.time(), self.name, code))
                pause_s, self.pause_s = self.pause_s, RESTART_S
                await asyncio.sleep(pause_s)

    async def _spawn(self) -> Process:
        self.starts.append(time.time())
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "triptych", *self._arguments),
                env=self._environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._guard.watch(process.pid)
        return process

    async def stop(self) -> int | None:
        """SIGTERM; return the exit code, or None if it had to be killed."""
        self._stop = True
        process = self.process
        if process is None:
            return 0
        if process.returncode is None:
            # It may be frozen.
            os.kill(process.pid, signal.SIGCONT)
            process.terminate()
        try:
            code: int | None = await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            code = None
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        return code
