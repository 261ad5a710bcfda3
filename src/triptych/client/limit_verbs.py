"""What a client does with limits: pausing and slowing phases and hosts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from triptych.client.connection import Connection, Json, part
from triptych.messages import Phase
from triptych.tasks.task_store import Task
from triptych.wire import Listing

if TYPE_CHECKING:
    # FastAPI is slow to import, and only these methods need it.
    from triptych.api.limits import Hosts, PhaseState


class LimitVerbs(Connection):
    """Limits of the three phases and of hosts; workers heed them at once."""

    async def phases(self) -> Sequence[PhaseState]:
        """Return the phases, what is set for each, and how many workers serve it."""
        from triptych.api.limits import PhaseState

        return (await self._get("/phases", Listing[PhaseState])).items

    async def put_phase(
        self, phase: Phase, *, paused: bool, concurrency: int | None = None
    ) -> Task:
        """Pause, resume or limit a phase; what is left out is as in the settings again.

        ``concurrency``: messages at a time in each worker.
        """
        body = _given(paused=paused, concurrency=concurrency)
        return await self._submit("PUT", f"/phases/{phase.value}", body)

    async def hosts(self) -> Hosts:
        """Return the hosts that have limits of their own, and those with traffic now."""
        from triptych.api.limits import Hosts

        return await self._get("/hosts", Hosts)

    async def put_host(
        self,
        host: str,
        *,
        paused: bool,
        concurrency: int | None = None,
        per_second: float | None = None,
    ) -> Task:
        """Pause, resume or limit a host; what is left out is as in the settings again.

        Args:
            host: its exact name, without scheme and port.
            paused: no item of it is tried.
            concurrency: requests at a time from each worker.
            per_second: requests a second from each worker.

        Raises:
            BadInput: nothing would be left to be limited; see `drop_host`.
        """
        body = _given(paused=paused, concurrency=concurrency, per_second=per_second)
        return await self._submit("PUT", f"/hosts/{part(host)}", body)

    async def drop_host(self, host: str) -> Task:
        """Take a host's limits away; if it was paused, it goes on.

        Raises:
            NotFound: it has none.
        """
        return await self._submit("DELETE", f"/hosts/{part(host)}")


def _given(**values: object) -> Json:
    return {name: value for name, value in values.items() if value is not None}
