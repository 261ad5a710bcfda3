"""The port LimitStore: what operators have paused or limited, and how workers hear of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Protocol

from msgspec import Meta

from triptych.errors import Conflict, NotFound
from triptych.fetch.host_limit import HostLimit
from triptych.messages import Phase
from triptych.wire import Wire

PHASE_CONCURRENCY_MAX = 1_000
"""Messages of one phase at a time, in one worker."""
HOSTS_LIMITED_MAX = 1_000
"""Hosts with limits of their own: every worker keeps all of them in memory."""
PAUSED_RETRY_S = 60.0
"""A Lambda function, which receives messages of a paused phase too, puts them off for so long."""


class TooManyHosts(Conflict):
    """So many hosts have limits that no other may have."""


class HostNotLimited(NotFound):
    """The host has no limits of its own."""


class PhaseLimit(Wire, frozen=True):
    """What an operator has set for a phase."""

    phase: Phase
    paused: Annotated[
        bool, Meta(description="Workers take no more of its messages, and finish what they hold.")
    ] = False
    concurrency: Annotated[
        int | None,
        Meta(description="Messages at a time in each worker; null: as in the settings."),
    ] = None
    changed_at: datetime | None = None
    changed_by: str | None = None
    paused_at: Annotated[
        datetime | None, Meta(description="Since when; null if it is not paused.")
    ] = None
    paused_by: str | None = None

    def without_names(self) -> PhaseLimit:
        """Return it for who may see single brands only: without the operators' names."""
        return PhaseLimit(
            self.phase, self.paused, self.concurrency, self.changed_at, paused_at=self.paused_at
        )


NO_LIMITS: Mapping[Phase, PhaseLimit] = MappingProxyType(
    {phase: PhaseLimit(phase) for phase in Phase}
)


@dataclass(frozen=True, slots=True)
class Limits:
    """All limits, at one moment."""

    phases: Mapping[Phase, PhaseLimit] = field(default_factory=lambda: NO_LIMITS)
    """Of every phase."""
    hosts: Mapping[str, HostLimit] = field(default_factory=dict)
    """Of the hosts that have any, by name, in order."""


def too_many_hosts() -> TooManyHosts:
    """Return the error for a host beyond the number of those that may have limits."""
    return TooManyHosts(
        f"{HOSTS_LIMITED_MAX:,} hosts have limits of their own, and no more may.",
        remedy="Take the limits of another host away first.",
    )


def not_limited(host: str) -> HostNotLimited:
    """Return the error for a host that has no limits."""
    return HostNotLimited(f"{host} has no limits of its own.")


class LimitStore(Protocol):
    """The limits. Each method is one transaction, unless it says otherwise."""

    async def limits(self) -> Limits:
        """Return all limits. None are set in a database that has no table for them yet."""
        ...

    async def put_phase(
        self, phase: Phase, *, paused: bool, concurrency: int | None, by: str
    ) -> PhaseLimit:
        """Set a phase's limits. A pause that lasts keeps its beginning and who began it."""
        ...

    async def put_host(
        self, host: str, *, paused: bool, concurrency: int | None, per_second: float | None, by: str
    ) -> HostLimit:
        """Set the limits of a host, whose name is normal (`host_name`).

        Raises:
            TooManyHosts: `HOSTS_LIMITED_MAX` other hosts have limits.
        """
        ...

    async def drop_host(self, host: str) -> None:
        """Take a host's limits away.

        Raises:
            HostNotLimited: it has none.
        """
        ...

    async def held_up(self, *, within_s: float) -> frozenset[Phase]:
        """Return the phases that are paused, or were within the last ``within_s`` seconds.

        What waited for one of them in that time did not stand still by itself.
        """
        ...

    def changes(self) -> AsyncGenerator[Limits, None]:
        """Yield the limits now, and again whenever they have changed. It never ends by itself.

        After a lost connection they are read again, so the newest always arrive. To be closed.
        """
        ...
