"""Outages of hosts in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from typing_extensions import override

from triptych.model import RunState
from triptych.runs.outage_store import (
    GAP_SHARE,
    HOSTS_WAITED_FOR_MAX,
    SHOWN_AFTER_S,
    STALE_S,
    Outage,
    OutageStore,
)
from triptych.testing.memory_state import MemoryState, OutageRow, RunRow


class MemoryOutageStore(OutageStore):
    """`OutageStore` in memory."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    @override
    async def note(
        self, run_id: UUID, hosts: Sequence[str], *, patience_s: float
    ) -> Mapping[str, Outage]:
        run = self._state.runs.get(run_id)
        if run is None or run.run.state is not RunState.ACTIVE:
            return {}
        found: dict[str, Outage] = {}
        for host in sorted(set(hosts)):
            if (row := self._noted(run, host, patience_s)) is None:
                continue
            found[host] = Outage(row.waited_s, row.waited_s >= patience_s)
            if row.waited_s >= min(SHOWN_AFTER_S, patience_s) and not row.shown:
                row.shown = True
                self._state.event(run, "host_down", {"host": host})
        return found

    def _noted(self, run: RunRow, host: str, patience_s: float) -> OutageRow | None:
        now = self._state.now()
        row = run.outages.get(host)
        if row is None:
            waiting = sum(known.waited_s < patience_s for known in run.outages.values())
            if waiting >= HOSTS_WAITED_FOR_MAX:
                return None
            row = run.outages[host] = OutageRow(now)
        gap_s = (now - row.seen_at).total_seconds()
        stale = row.waited_s >= patience_s and gap_s > STALE_S
        row.waited_s = 0.0 if stale else row.waited_s + min(gap_s, patience_s * GAP_SHARE)
        row.seen_at = now
        return row

    @override
    async def end(self, run_id: UUID, hosts: Sequence[str]) -> None:
        if (run := self._state.runs.get(run_id)) is None:
            return
        for host in hosts:
            row = run.outages.pop(host, None)
            if row is not None and row.shown:
                self._state.event(run, "host_back", {"host": host})
