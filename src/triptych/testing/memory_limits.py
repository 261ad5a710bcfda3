"""Limits of phases and hosts in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from datetime import datetime, timedelta

from msgspec.structs import replace
from typing_extensions import override

from triptych.fetch.host_limit import HostLimit
from triptych.limits.limit_store import (
    HOSTS_LIMITED_MAX,
    NO_LIMITS,
    Limits,
    LimitStore,
    PhaseLimit,
    not_limited,
    too_many_hosts,
)
from triptych.messages import Phase
from triptych.testing.memory_state import MemoryState


class MemoryLimitStore(LimitStore):
    """`LimitStore` in memory."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state
        self._phases = dict(NO_LIMITS)
        self._hosts: dict[str, HostLimit] = {}
        self._resumed: dict[Phase, datetime] = {}
        self._listeners: set[asyncio.Event] = set()

    @override
    async def limits(self) -> Limits:
        return Limits(dict(self._phases), dict(sorted(self._hosts.items())))

    @override
    async def put_phase(
        self, phase: Phase, *, paused: bool, concurrency: int | None, by: str
    ) -> PhaseLimit:
        now, before = self._state.now(), self._phases[phase]
        since, who = (before.paused_at, before.paused_by) if before.paused else (now, by)
        if before.paused and not paused:
            self._resumed[phase] = now
        self._phases[phase] = made = PhaseLimit(
            phase,
            paused,
            concurrency,
            now,
            by,
            since if paused else None,
            who if paused else None,
        )
        self._changed()
        return made

    @override
    async def put_host(
        self, host: str, *, paused: bool, concurrency: int | None, per_second: float | None, by: str
    ) -> HostLimit:
        if len(self._hosts.keys() - {host}) >= HOSTS_LIMITED_MAX:
            raise too_many_hosts()
        now, before = self._state.now(), self._hosts.get(host)
        made = HostLimit(host, paused, concurrency, per_second, now, by, None, None)
        if paused:
            lasts = before is not None and before.paused
            since, who = (before.paused_at, before.paused_by) if before and lasts else (now, by)
            made = replace(made, paused_at=since, paused_by=who)
        self._hosts[host] = made
        self._changed()
        return made

    @override
    async def drop_host(self, host: str) -> None:
        if self._hosts.pop(host, None) is None:
            raise not_limited(host)
        self._changed()

    @override
    async def held_up(self, *, within_s: float) -> frozenset[Phase]:
        since = self._state.now() - timedelta(seconds=within_s)
        lately = {phase for phase, at in self._resumed.items() if at > since}
        paused = {phase for phase, limit in self._phases.items() if limit.paused}
        return frozenset(lately | paused)

    @override
    async def changes(self) -> AsyncGenerator[Limits, None]:
        changed = asyncio.Event()
        self._listeners.add(changed)
        last: Limits | None = None
        try:
            while True:
                changed.clear()
                if (now := await self.limits()) != last:
                    last = now
                    yield now
                await changed.wait()
        finally:
            self._listeners.discard(changed)

    def _changed(self) -> None:
        for listener in self._listeners:
            listener.set()
