"""Child processes: restarted when they die, and stopped when their parent ends."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence

import structlog

from triptych.runtime.periodic import pause
from triptych.runtime.retry import backoff

RESTART_CAP_S = 30.0
STEADY_S = 60.0
"""Seconds of life after which a process' restart backoff is reset."""
KILL_GRACE_S = 10.0
"""Seconds after its own drain that a stopping process has before it is killed."""

log = structlog.get_logger(__name__)


class WorkerProcesses:
    """``count`` processes of one command; a process that dies is restarted.

    Each child's standard input is a pipe that only this process holds open. When this process ends
    for any reason, the children read end-of-file and stop by themselves.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        count: int,
        drain_s: float,
        name: str = "worker",
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._command = command
        self._count = count
        self._drain_s = drain_s
        self._name = name
        self._pass_fds = pass_fds

    async def run(self, stop: asyncio.Event) -> None:
        """Keep the processes running until ``stop``; return when all of them have exited."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._count):
                group.create_task(self._keep(number, stop))

    async def _keep(self, number: int, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        deaths = 0
        while not stop.is_set():
            born = loop.time()
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=DEVNULL,
                start_new_session=True,
                pass_fds=self._pass_fds,
            )
            code = await self._until_end(process, stop)
            if stop.is_set():
                return
            deaths = 1 if loop.time() - born > STEADY_S else deaths + 1
            delay = backoff(deaths, base_s=0.5, cap_s=RESTART_CAP_S)
            log.warning(
                "process_died",
                process=self._name,
                number=number,
                exit=code,
                restart_s=round(delay, 1),
            )
            await pause(stop, delay)

    async def _until_end(self, process: Process, stop: asyncio.Event) -> int:
        ended = asyncio.create_task(process.wait())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([ended, stopping], return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(ended), self._drain_s + KILL_GRACE_S)
            if not ended.done():
                log.warning("process_killed", process=self._name, pid=process.pid)
                process.kill()
            return await ended
        finally:
            stopping.cancel()
            if process.returncode is None:
                process.kill()
