"""The embedded shape: `triptych up` on a data folder of its own, started again when it ends."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from pathlib import Path

import aiohttp
from aws_local.child_server import HOST, free_port
from aws_local.guard import Guard

from tests.support.chaos.processes import PostgresProcesses, Processes, Role
from tests.support.chaos.raw_queues import PgmqTables
from tests.support.chaos.record import Record
from tests.support.chaos.schedule import Action, Kind
from tests.support.chaos.service import Exit, Service
from tests.support.chaos.shape import QUICK, WORKERS, Own, Shape, settings_environment
from tests.support.chaos.small_disk import SmallDisk
from tests.support.chaos.trial_database import TrialDatabase
from triptych.embedded.server import read_dsn

READY_S = 60.0
"""Seconds that a start may take: recovery of a small database takes one or two."""
LOOK_S = 0.1
COMMAND_S = 60.0
MENDED_S = 45.0
"""Seconds in which `up` must have mended a Postgres that nobody can reach."""
AT_FDCWD, RENAME_EXCHANGE = -100, 2
LEFT_S = 15.0
"""Seconds in which the children of an `up` that has ended must have ended."""


class EmbeddedShape(Shape):
    """See `Shape`."""

    def __init__(self, folder: Path, record: Record, guard: Guard) -> None:
        self.folder = folder
        self.record = record
        self._guard = guard
        self._data = folder / "data"
        self._disk = SmallDisk(self._data)
        home = folder / "home"
        home.mkdir()
        port = free_port()
        self.url, self.live_url = f"http://{HOST}:{port}", f"ws://{HOST}:{port}/ws"
        self.key: str | None = None
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TRIPTYCH_")},
            "HOME": str(home),
            **settings_environment(
                {**QUICK, "data": self._data, "workers": WORKERS, "api_port": port}
            ),
        }
        self.database = TrialDatabase(lambda: read_dsn(self._data))
        self.queues = PgmqTables(self.database)
        self.processes = Processes(home)
        self.postgres = PostgresProcesses(self._data / "postgres")
        self._up: Service
        self._watching: asyncio.Task[None] | None = None
        self.own: Mapping[Kind, Own] = {
            Kind.KILL_UP: self._kill_up,
            Kind.STOP_UP: self._stop_up,
            Kind.KILL_ALL: self._kill_all,
            Kind.STOP_POSTMASTER: self._stop_postmaster,
            Kind.REMOVE_SOCKET: self._remove_socket,
            Kind.RUN_COMMAND: self._run_command,
            Kind.STORE_AWAY: self._store_away,
            Kind.DISK_FULL: self._disk_full,
        }

    # --- start and stop ----------------------------------------------------------------------

    async def start(self, source: str) -> None:
        self._disk.mount()
        self._environment["TRIPTYCH_SOURCE"] = source
        self._up = Service(
            *("up", ["up", "--json"]),
            environment=self._environment,
            log=self.folder / "up.log",
            guard=self._guard,
        )
        self._up.start()
        await self._ready(READY_S)
        self._watching = asyncio.create_task(self._watch_starts())

    async def _ready(self, patience_s: float) -> None:
        async with asyncio.timeout(patience_s):
            while not await self._answers():
                await asyncio.sleep(LOOK_S)

    async def _answers(self) -> bool:
        patience = aiohttp.ClientTimeout(total=5)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as session,
                session.get(f"{self.url}/readyz") as answer,
            ):
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _watch_starts(self) -> None:
        """Note each start of `up` that is not ready in time, and how long the others take."""
        seen = len(self._up.starts)
        while True:
            await asyncio.sleep(LOOK_S)
            if len(self._up.starts) == seen:
                continue
            began = self._up.starts[seen]
            seen = len(self._up.starts)
            with self.record.outage():
                try:
                    await self._ready(READY_S)
                except TimeoutError:
                    self.record.violations.append(
                        f"up: not ready {READY_S:.0f} s after a start, "
                        f"{len(self._up.starts) - seen} more starts meanwhile"
                    )
                    continue
            self.record.note(f"up ready, {time.time() - began:.1f} s after its start")
            seen = len(self._up.starts)

    async def stop(self) -> list[str]:
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        sockets = self._socket_folder()
        code = await self._up.stop()
        wrong = [] if code == 0 else [f"up: exit {code} after SIGTERM"]
        wrong += [f"socket left after up: {path}" for path in sockets.glob(".s.PGSQL.*")]
        left = await asyncio.to_thread(self.processes.left, LEFT_S)
        wrong += [f"process left after up: {each}" for each in left]
        pids = await asyncio.to_thread(self.postgres.left, LEFT_S)
        return wrong + [f"process of Postgres left after up: {pid}" for pid in pids]

    async def clean(self, *, keep: bool) -> None:
        async with AsyncExitStack() as stack:
            kept = self.folder / "kept" if keep else None
            stack.push_async_callback(asyncio.to_thread, self._disk.unmount, kept)
            stack.push_async_callback(asyncio.to_thread, self._end_all)
            if hasattr(self, "_up"):
                stack.push_async_callback(self._up.stop)
            if self._watching is not None:
                self._watching.cancel()

    def _end_all(self) -> None:
        for found in self.processes.find():
            self.processes.send(found, signal.SIGKILL)
        for pid in self.postgres.pids():
            self.postgres.kill(pid)
        self.processes.left(LEFT_S)
        self.postgres.left(LEFT_S)

    # --- what it has -------------------------------------------------------------------------

    def exits(self) -> list[Exit]:
        """Those of `up`, and those that it has seen of its children."""
        found = list(self._up.exits)
        for line in (self.folder / "up.log").read_text(errors="replace").splitlines():
            if '"event": "process_died"' in line:
                said = json.loads(line)
                at = datetime.fromisoformat(said["timestamp"]).timestamp()
                found.append(Exit(at, said["process"], said["exit"]))
        return found

    def logs(self) -> Iterable[Path]:
        return [self.folder / "up.log"]

    async def objects(self) -> dict[str, bytes]:
        root = self._data / "objects"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob("*")
            if path.is_file()
        }

    # --- what it suffers ---------------------------------------------------------------------

    async def _kill_up(self, action: Action) -> str:
        self._up.pause_s = action.seconds
        killed = [
            each.pid
            for each in self.processes.find(Role.UP)
            if self.processes.send(each, signal.SIGKILL)
        ]
        self.record.kills[Role.UP] += len(killed)
        said = f"killed up {killed}"
        pids = self.postgres.pids()
        if action.pick % 2 and pids:
            # The next start finds a Postgres that recovers, and whose owner has ended.
            victim = pids[action.pick % len(pids)]
            said += f" and {victim} of Postgres" if self.postgres.kill(victim) else ""
        # A command that comes just then finds that nothing owns the folder.
        return f"{said}; {await self._run_command(action)}"

    async def _stop_up(self, action: Action) -> str:
        stopped = [
            each.pid
            for each in self.processes.find(Role.UP)
            if self.processes.send(each, signal.SIGTERM)
        ]
        self.record.stops[Role.UP] += len(stopped)
        return f"stopped up {stopped}"

    async def _kill_all(self, action: Action) -> str:
        self._up.pause_s = action.seconds
        victims = self.processes.find()
        # Its parent first, so that it restarts none of them.
        for each in sorted(victims, key=lambda found: found.role is not Role.UP):
            if self.processes.send(each, signal.SIGKILL):
                self.record.kills[each.role] += 1
        pids = self.postgres.pids()
        for pid in pids:
            self.postgres.kill(pid)
        said = f"killed {len(victims)} processes and {len(pids)} of Postgres"
        if action.pick % 2:
            return said
        # As if the machine had ended between the file's creation and its first line.
        (self._data / "postgres" / "postmaster.pid").write_bytes(b"")
        return f"{said}, emptied its pid file"

    async def _stop_postmaster(self, _action: Action) -> str:
        pid = self.postgres.postmaster()
        if pid is None or not self.postgres.send(pid, signal.SIGTERM):
            return "no postmaster there"
        return f"SIGTERM to postmaster {pid}; {await self._mended()}"

    async def _remove_socket(self, _action: Action) -> str:
        folder = self._socket_folder()
        for path in list(folder.iterdir()):
            path.unlink()
        return f"removed the socket in {folder}; {await self._mended()}"

    async def _mended(self) -> str:
        """Wait until the database can be reached again."""
        began = time.monotonic()
        with self.record.outage():
            try:
                async with asyncio.timeout(MENDED_S):
                    # For a moment it may still let sessions in.
                    await asyncio.sleep(1.0)
                    await self.database.fetch("select 1")
            except TimeoutError:
                self.record.violations.append(f"up: Postgres not mended within {MENDED_S:.0f} s")
                return "the database is not back"
        return f"the database is back after {time.monotonic() - began:.1f} s"

    def _socket_folder(self) -> Path:
        return Path(read_dsn(self._data).partition("host=")[2].partition("&")[0])

    async def _run_command(self, _action: Action) -> str:
        with (self.folder / "commands.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "triptych", "status", "--json"),
                env=self._environment,
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        began = time.monotonic()
        try:
            code = await asyncio.wait_for(process.wait(), COMMAND_S)
        except TimeoutError:
            process.kill()
            await process.wait()
            self.record.violations.append(f"command: no end within {COMMAND_S:.0f} s")
            return "a command had to be killed"
        return f"a command ended with {code} after {time.monotonic() - began:.1f} s"

    async def _store_away(self, action: Action) -> str:
        objects, away = self._data / "objects", self._data / "objects-away"
        away.touch()
        with self.record.outage():
            _exchange(objects, away)
            try:
                await asyncio.sleep(action.seconds)
            finally:
                _exchange(objects, away)
                away.unlink()
        return "objects are back"

    async def _disk_full(self, action: Action) -> str:
        if self._disk.refused is not None:
            return f"skipped: no file system of its own ({self._disk.refused})"
        with self.record.outage():
            await self._disk.full(action.seconds)
        return "there is space again"


def _exchange(one: Path, other: Path) -> None:
    """Give each of two paths the other's name, both at once: see renameat2(2).

    In a moment between two renames a worker that writes would make the folder again.
    """
    paths = (AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other))
    if ctypes.CDLL(None, use_errno=True).renameat2(*paths, RENAME_EXCHANGE):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(one), None, str(other))
