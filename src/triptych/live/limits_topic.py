"""The topic ``limits``: what operators have paused or limited, read when it has changed."""

from __future__ import annotations

import asyncio
import time

import structlog

from triptych.errors import Unavailable
from triptych.fetch.host_limit import HostLimit
from triptych.limits.limit_store import Limits, LimitStore, PhaseLimit
from triptych.live.protocol import dump_state
from triptych.live.topics import Topic
from triptych.runtime.retry import backoff
from triptych.wire import Wire

RETRY_BASE_S = 0.2
RETRY_MAX_S = 5.0

log = structlog.get_logger()


class LimitsState(Wire, frozen=True):
    """The limits of every phase, and of the hosts that have any."""

    phases: list[PhaseLimit]
    hosts: list[HostLimit]


class LimitReader:
    """Reads the limits into two topics: whole, and for clients that may see single brands only.

    Those are sent no operator's name and no hosts, which other brands may have.
    """

    def __init__(self, store: LimitStore, everyone: Topic, limited: Topic) -> None:
        self._store = store
        self._everyone = everyone
        self._limited = limited
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read soon: they have changed, or a client has subscribed."""
        self._asked.set()

    async def run(self) -> None:
        """Read until cancelled; nothing without subscriptions."""
        failures = 0
        while True:
            await self._asked.wait()
            self._asked.clear()
            if not (self._everyone.subscriptions or self._limited.subscriptions):
                continue
            try:
                self._offer(await self._store.limits())
                failures = 0
            except Unavailable as error:
                failures += 1
                if failures == 1:
                    log.warning("the limits cannot be read", error=str(error))
                self._asked.set()
                await asyncio.sleep(backoff(failures, base_s=RETRY_BASE_S, cap_s=RETRY_MAX_S))

    def _offer(self, limits: Limits) -> None:
        phases, hosts = list(limits.phases.values()), list(limits.hosts.values())
        # Limits have no common version, so the time of the read is used, as in every process.
        version = max(self._everyone.version + 1, time.time_ns() // 1_000)
        self._everyone.offer(version, dump_state(LimitsState(phases, hosts)))
        nameless = [phase.without_names() for phase in phases]
        self._limited.offer(version, dump_state(LimitsState(nameless, [])))
        self._everyone.publish()
        self._limited.publish()
