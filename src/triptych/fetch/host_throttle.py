"""Per-host throttling: each host has its own pace, and none delays the others.

A slow or throttling host only holds a bounded number of waiting messages. Beyond that, or when the
wait would be long, a URL is postponed: its message returns to the queue for about as long.

The concurrency of a host starts small, grows with each success and is halved by each timeout or
broken request. So hosts that never respond cannot fill the worker's slots, neither by their number
nor by many requests at once.

What an operator has set for a host (`HostLimit`) replaces the settings for it, from the moment at
which the worker hears of it: requests under way end, those that wait follow the new limits.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from triptych.errors import HostBusy, HostDown, HostPaused, TransientItemError
from triptych.fetch.down_hosts import PAUSE_MAX_S, Contact
from triptych.fetch.host_limit import HostLimit, HostTraffic
from triptych.model import Reason
from triptych.runtime.retry import longest_delay

WAIT_MAX_S = 3.0
"""A longer wait is spent in the queue, where it takes no slot of a worker."""
START = 4
"""Concurrent requests to a host that has not responded yet."""
SMOOTHING = 0.2
"""Weight of the newest request in a host's mean duration."""
COOL_FIRST_S = 1.0
COOL_MAX_S = 300.0
PACE_MAX_S = 60.0
"""A longer Crawl-delay is considered a mistake."""
PAUSED_RETRY_S = PAUSE_MAX_S
"""Items of a paused host come back after so long, as those of a host that is down: so late is it
noticed that the host goes on."""
HOSTS_MAX = 10_000
BROKEN = frozenset({Reason.TIMEOUT, Reason.CONNECTION_FAILED, Reason.TRUNCATED})
"""Failures that reduce a host's concurrency."""


@dataclass(slots=True)
class _Host:
    base_pace_s: float
    """Seconds between two requests, of the settings or of its own limit; 0 for no pace."""
    most: int
    """Upper limit of its concurrent requests."""
    allowed: int
    """Current limit of its concurrent requests."""
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    taken: int = 0
    crawl_s: float = 0.0
    """The Crawl-delay of its robots.txt."""
    mean_s: float = 0.0
    """Moving average of a request's duration, in seconds."""
    next_at: float = 0.0
    """Time at which the pace allows the next request."""
    cool_until: float = 0.0
    throttles: int = field(default=0)
    """Consecutive throttles; a success resets them."""

    @property
    def idle(self) -> bool:
        return not self.waiting and not self.taken

    @property
    def pace_s(self) -> float:
        return max(self.base_pace_s, self.crawl_s)

    def set_limits(self, most: int, base_pace_s: float, now: float) -> None:
        """Change its limits; those who wait go on at once if there is room now."""
        if most > self.most:
            # What is allowed was bounded by the old limit, and by nothing that the host did.
            self.allowed = max(self.allowed, min(START, most))
        self.most, self.base_pace_s = most, base_pace_s
        self.allowed = min(self.allowed, most)
        self.next_at = min(self.next_at, now + self.pace_s)
        self.wake()

    def grow(self) -> None:
        """Allow one more concurrent request after a success."""
        self.allowed = min(self.most, self.allowed + 1)

    def shrink(self) -> None:
        """Halve the concurrency after a broken request."""
        self.allowed = max(1, self.allowed // 2)

    def take_free(self) -> bool:
        """Take a slot if one is free and nobody waits; return whether one was."""
        if self.taken >= self.allowed or self.waiting:
            return False
        self.taken += 1
        return True

    async def take(self) -> None:
        """Wait for a slot, first come, first served."""
        if self.take_free():
            return
        slot: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(slot)
        try:
            await slot
        except asyncio.CancelledError:
            if slot.done() and not slot.cancelled():
                self.give_back()  # Granted in the moment of the cancellation.
            elif slot in self.waiting:
                self.waiting.remove(slot)
            raise

    def give_back(self) -> None:
        """Release a slot and wake waiters."""
        self.taken -= 1
        self.wake()

    def wake(self) -> None:
        """Give free slots to those who wait."""
        while self.waiting and self.taken < self.allowed:
            slot = self.waiting.popleft()
            if not slot.cancelled():
                self.taken += 1
                slot.set_result(None)

    def ended(self, seconds: float) -> None:
        """Record the duration of a request."""
        weight = SMOOTHING if self.mean_s else 1.0
        self.mean_s += weight * (seconds - self.mean_s)


class HostSlot:
    """The right to one request, until it is released."""

    def __init__(self, host: _Host) -> None:
        self._host: _Host | None = host
        self._loop = asyncio.get_running_loop()
        self.since = self._loop.time()
        self.contact = Contact()
        """What the request finds out about its hosts; it ends with the slot."""

    def begin(self) -> None:
        """Start the clock of the request: time spent before is not the host's."""
        self.since = self._loop.time()

    def release(self) -> None:
        """Release the slot after a success. Safe to repeat."""
        if (host := self._end()) is not None:
            host.grow()
            host.give_back()

    def _end(self) -> _Host | None:
        host, self._host = self._host, None
        self.contact.end()
        if host is not None:
            host.ended(self._loop.time() - self.since)
        return host

    def __enter__(self) -> HostSlot:
        """Hold the slot for a block."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        """Release the slot; a broken request reduces the host's concurrency."""
        broken = isinstance(error, TransientItemError) and error.reason in BROKEN
        if not (broken or isinstance(error, HostDown)):
            self.release()
        elif (host := self._end()) is not None:
            host.shrink()
            host.give_back()


class HostThrottle:
    """Concurrency, pace and pauses of every recently used host, in one worker.

    Args:
        concurrency: the most concurrent requests to one host.
        rate_per_s: requests per second to one host; None for no limit.
    """

    def __init__(self, *, concurrency: int, rate_per_s: float | None) -> None:
        self._concurrency = concurrency
        self._pace_s = 1.0 / rate_per_s if rate_per_s else 0.0
        self._hosts: OrderedDict[str, _Host] = OrderedDict()
        self._limits: Mapping[str, HostLimit] = {}

    def set_limits(self, limits: Mapping[str, HostLimit]) -> None:
        """Replace the limits of all hosts that have any of their own, by name. At once."""
        changed = {
            name
            for name in self._limits.keys() | limits.keys()
            if self._limits.get(name) != limits.get(name)
        }
        self._limits = limits
        now = asyncio.get_running_loop().time()
        for name in changed & self._hosts.keys():
            self._hosts[name].set_limits(*self._of(name), now)

    def check(self, name: str) -> None:
        """Raise `HostPaused` if an operator has paused a host."""
        limit = self._limits.get(name)
        if limit is not None and limit.paused:
            raise HostPaused(name, by=limit.paused_by, retry_after_s=PAUSED_RETRY_S)

    def traffic(self, most: int) -> Sequence[HostTraffic]:
        """Return what goes on at the ``most`` busiest hosts; of those that are idle, nothing."""
        busy = [(name, host) for name, host in self._hosts.items() if not host.idle]
        busy.sort(key=lambda each: (-each[1].taken, -len(each[1].waiting), each[0]))
        return [HostTraffic(name, host.taken, len(host.waiting)) for name, host in busy[:most]]

    async def slot(self, name: str, *, crowded: Callable[[], bool] = lambda: False) -> HostSlot:
        """Wait for a slot at a host.

        Args:
            name: the host's name.
            crowded: returns whether the worker has no room for another download. While it has
                none, the wait for a slot is unlimited: the host is not the cause, no other
                download could proceed instead, and a postponed URL would only come back.

        Raises:
            HostBusy: the wait would be long; postpone the URL for the time it states.
            HostPaused: an operator has paused the host.
        """
        self.check(name)
        host = self._host(name)
        loop = asyncio.get_running_loop()
        if (rest := self._rest_s(host, loop.time())) > WAIT_MAX_S:
            raise self._busy(name, rest)
        if (queue := self._queue_s(host)) > WAIT_MAX_S and not crowded():
            raise self._busy(name, queue)
        taken = host.take_free()
        while not taken:
            try:
                async with asyncio.timeout(WAIT_MAX_S):
                    await host.take()
                taken = True
            except TimeoutError as error:
                if not crowded():
                    expected = max(self._rest_s(host, loop.time()), self._queue_s(host), WAIT_MAX_S)
                    raise self._busy(name, expected) from error
        slot = HostSlot(host)
        try:
            await self._keep_pace(name, host)
            self.check(name)  # It may have been paused during the wait.
        except BaseException:
            slot.release()
            raise
        slot.since = loop.time()
        return slot

    def _rest_s(self, host: _Host, now: float) -> float:
        """Return the seconds a new request would wait for the host's pause and pace."""
        rest = host.cool_until - now
        paced = (
            max(host.next_at - now, 0.0) + host.pace_s * len(host.waiting) if host.pace_s else 0.0
        )
        return max(rest, paced)

    def _queue_s(self, host: _Host) -> float:
        """Return the seconds a new request would wait for those before it."""
        return len(host.waiting) * host.mean_s / host.allowed

    def _busy(self, name: str, seconds: float) -> HostBusy:
        return HostBusy(f"{name} is at its pace", retry_after_s=seconds)

    async def _keep_pace(self, name: str, host: _Host) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        at = max(now, host.next_at, host.cool_until)
        if at - now > WAIT_MAX_S:
            raise self._busy(name, at - now)  # The host was paused during the wait.
        host.next_at = at + host.pace_s
        if at > now:
            await asyncio.sleep(at - now)

    def pace(self, name: str, seconds: float) -> None:
        """Set the least interval in seconds between requests to a host: its Crawl-delay."""
        self._host(name).crawl_s = min(seconds, PACE_MAX_S)

    def throttled(self, name: str, retry_after_s: float | None) -> None:
        """Pause a host for as long as it asked, or longer with each consecutive throttle."""
        host = self._host(name)
        host.throttles += 1
        rest = retry_after_s
        if rest is None:
            # No jitter: the host gets its full pause. Returning requests share the slots anyway.
            rest = longest_delay(host.throttles, base_s=COOL_FIRST_S, cap_s=COOL_MAX_S)
        host.cool_until = max(host.cool_until, asyncio.get_running_loop().time() + rest)

    def answered(self, name: str) -> None:
        """Record that a host responds again."""
        self._host(name).throttles = 0

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            most, pace_s = self._of(name)
            host = _Host(pace_s, most, min(START, most))
            self._hosts[name] = host
            self._forget()
        self._hosts.move_to_end(name)
        return host

    def _of(self, name: str) -> tuple[int, float]:
        """Return the most requests at a time to a host, and the seconds between two."""
        limit = self._limits.get(name)
        most, pace_s = self._concurrency, self._pace_s
        if limit is not None and limit.concurrency is not None:
            most = limit.concurrency
        if limit is not None and limit.per_second is not None:
            pace_s = 1.0 / limit.per_second
        return most, pace_s

    def _forget(self) -> None:
        """Forget the least recently used hosts, unless a URL is waiting for them."""
        while len(self._hosts) > HOSTS_MAX:
            name, oldest = next(iter(self._hosts.items()))
            if not oldest.idle:
                return
            del self._hosts[name]
