"""Carries out a schedule: each action at its time, whatever the others are doing."""

from __future__ import annotations

import asyncio
import signal
from asyncio import Task
from collections.abc import Mapping

from tests.support.chaos.commit_gate import CommitGate, NoCommit
from tests.support.chaos.origin import Answer
from tests.support.chaos.processes import Found, Role
from tests.support.chaos.raw_queues import Lost
from tests.support.chaos.record import SentPoison
from tests.support.chaos.schedule import Action, Kind, Schedule
from tests.support.chaos.shape import Own, Shape
from tests.support.chaos.trial_database import AWAY
from triptych.errors import QueueUnavailable
from triptych.messages import QUEUES
from triptych.queues.sqs.sqs_client import FAILURES

COMMIT_S = 8.0
"""Seconds that an action waits for a commit."""
HELD_S = 0.4
"""Seconds after which a transaction that is still open belongs to the worker that is frozen."""
RESTARTED_S = 8.0
"""Seconds that an action waits for a process that is being started again."""
LOOK_S = 0.1
CUT_MAX = 6
BACKENDS = (
    "select pid from pg_stat_activity where backend_type = 'client backend' "
    "and application_name like 'triptych%' order by pid"
)
TERMINATE = f"select pg_terminate_backend(pid) from ({BACKENDS} offset $1 limit $2) as found"


class Actions:
    """Acts on one shape and its origin."""

    def __init__(self, shape: Shape, origin: Answer, gate: CommitGate) -> None:
        self._shape = shape
        self._origin = origin
        self._gate = gate
        self._record = shape.record
        self._own: Mapping[Kind, Own] = {
            Kind.KILL_WORKER: lambda action: self._signal(action, Role.WORKER, signal.SIGKILL),
            Kind.STOP_WORKER: lambda action: self._signal(action, Role.WORKER, signal.SIGTERM),
            Kind.KILL_API: lambda action: self._signal(action, Role.API, signal.SIGKILL),
            Kind.STOP_API: lambda action: self._signal(action, Role.API, signal.SIGTERM),
            Kind.FREEZE_WORKER: self._freeze_worker,
            Kind.KILL_IN_COMMIT: self._kill_in_commit,
            Kind.FREEZE_IN_COMMIT: self._freeze_in_commit,
            Kind.KILL_BACKEND: self._kill_backend,
            Kind.KILL_POSTMASTER: self._kill_postmaster,
            Kind.CUT_CONNECTIONS: self._cut_connections,
            Kind.DOUBLE_MESSAGES: self._double_messages,
            Kind.POISON: self._poison,
            Kind.HOST_DOWN: self._host_down,
            Kind.HOST_SICK: self._host_sick,
            **shape.own,
        }

    async def carry_out(self, schedule: Schedule, began: float) -> None:
        """Do all of it; return when the last action is over. ``began`` is by the loop's clock."""
        loop = asyncio.get_running_loop()
        running: list[Task[None]] = []
        try:
            for action in schedule.actions:
                await asyncio.sleep(max(0.0, began + action.at_s - loop.time()))
                running.append(asyncio.create_task(self._do(action)))
            await asyncio.gather(*running)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _do(self, action: Action) -> None:
        try:
            said = await self._own[action.kind](action)
        except (*AWAY, *FAILURES, QueueUnavailable) as error:
            # What it acts on was away itself, for another action.
            said = f"interrupted: {type(error).__name__}: {error}".splitlines()[0]
        self._record.note(f"{action} -> {said}")

    # --- processes ---------------------------------------------------------------------------

    async def _pick(self, action: Action, role: Role) -> Found | None:
        """Return a process of a role; wait a while for one that is being started again."""
        until = asyncio.get_running_loop().time() + RESTARTED_S
        while not (found := self._shape.processes.find(role)):
            if asyncio.get_running_loop().time() > until:
                return None
            await asyncio.sleep(LOOK_S)
        return found[action.pick % len(found)]

    def _kill(self, found: Found, number: signal.Signals = signal.SIGKILL) -> bool:
        sent = self._shape.processes.send(found, number)
        counts = {signal.SIGKILL: self._record.kills, signal.SIGTERM: self._record.stops}
        if sent and number in counts:
            counts[number][found.role] += 1
        return sent

    async def _signal(self, action: Action, role: Role, number: signal.Signals) -> str:
        found = await self._pick(action, role)
        if found is None or not self._kill(found, number):
            return f"no {role} there"
        return f"{number.name} to {role} {found.pid}"

    async def _freeze_worker(self, action: Action) -> str:
        found = await self._pick(action, Role.WORKER)
        if found is None:
            return "no worker there"
        await self._freeze(found, action.seconds)
        return f"worker {found.pid} thawed"

    async def _freeze(self, found: Found, seconds: float) -> None:
        self._kill(found, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._kill(found, signal.SIGCONT)

    # --- inside a commit ---------------------------------------------------------------------

    async def _kill_in_commit(self, _action: Action) -> str:
        try:
            async with self._gate.closed(COMMIT_S):
                killed = [
                    each.pid for each in self._shape.processes.find(Role.WORKER) if self._kill(each)
                ]
        except NoCommit:
            return "no commit came"
        return f"killed workers {killed}, one of them inside a commit"

    async def _freeze_in_commit(self, action: Action) -> str:
        until = asyncio.get_running_loop().time() + COMMIT_S
        tries = 0
        while (left := until - asyncio.get_running_loop().time()) > 0:
            tries += 1
            found = await self._pick(action, Role.WORKER)
            if found is None:
                return "no worker there"
            try:
                if await self._frozen_in_commit(found, left, action.seconds):
                    return f"worker {found.pid} thawed inside a commit, try {tries}"
            except NoCommit:
                break
        return f"it was the other worker's commit, {tries} tries"

    async def _frozen_in_commit(self, found: Found, patience_s: float, seconds: float) -> bool:
        """Freeze a worker if the next commit is its own; return whether it was."""
        try:
            async with self._gate.closed(patience_s) as backend:
                self._kill(found, signal.SIGSTOP)
            await asyncio.sleep(HELD_S)
            if not await self._gate.is_open(backend):
                return False
            await asyncio.sleep(seconds)
            return True
        finally:
            self._kill(found, signal.SIGCONT)

    # --- Postgres ----------------------------------------------------------------------------

    async def _kill_backend(self, action: Action) -> str:
        pids = [row["pid"] for row in await self._shape.database.once(BACKENDS)]
        pid = pids[action.pick % len(pids)] if pids else 0
        with self._record.outage():
            killed = bool(pids) and self._shape.postgres.kill(pid)
        return f"killed backend {pid}" if killed else "no backend there"

    async def _kill_postmaster(self, _action: Action) -> str:
        pid = self._shape.postgres.postmaster()
        if pid is None or not self._shape.postgres.kill(pid):
            return "no postmaster there"
        with self._record.outage():
            await self._shape.database.fetch("select 1")
        return f"killed postmaster {pid}; the database is back"

    async def _cut_connections(self, action: Action) -> str:
        cut = await self._shape.database.once(TERMINATE, action.pick % 5, CUT_MAX)
        return f"cut {len(cut)} connections"

    # --- messages ----------------------------------------------------------------------------

    async def _double_messages(self, action: Action) -> str:
        queues = [action.queue] if action.queue else QUEUES
        sent = sum([await self._shape.queues.double(each, action.copies) for each in queues])
        self._record.doubled += sent
        return f"sent {sent} copies"

    async def _poison(self, action: Action) -> str:
        assert action.poison is not None
        try:
            message_id = await self._shape.queues.poison(action.queue, action.poison)
        except Lost as error:
            self._record.lost_poisons += 1
            return f"interrupted: {error}".splitlines()[0]
        self._record.poisons.append(SentPoison(action.queue, action.poison, message_id))
        return f"message {message_id}"

    # --- hosts -------------------------------------------------------------------------------

    async def _host_down(self, action: Action) -> str:
        host = self._origin.hosts[action.pick % len(self._origin.hosts)]
        await host.down(action.seconds)
        return f"{host.base} is back"

    async def _host_sick(self, action: Action) -> str:
        host = self._origin.hosts[action.pick % len(self._origin.hosts)]
        await host.sick(action.seconds)
        return f"{host.base} is well"
