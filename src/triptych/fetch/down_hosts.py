"""Hosts that do not answer, as one worker knows them.

A host that refuses connections, whose name cannot be looked up, that is silent until a request's
deadline, or hangs up before an answer is **down**, for all its URLs: one request at a time tries it
again, after pauses that grow, and everything else that needs the host is postponed without a
request. Any answer ends that, whatever its status.

A name that does not exist is no outage, unless the host has answered before: names that move are
missing for a while.

A failure is the URL's own, and not the host's, if the host has answered something else: since the
request began, or as long before as the request took. So a URL that is never answered uses up its
attempts at a host that answers others. A request that was never sent, because there was no
connection, says nothing about its URL: then the host is down in any case.

A host is a scheme, a name and a port; a proxy is a host of its own. Requests to hosts that have
not answered yet, and to those that are down, each have a limited number of connections, so that
thousands of dead hosts in a list do not take those of the others.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog

from triptych.errors import HostDown
from triptych.runtime.retry import longest_delay

PAUSE_FIRST_S = 1.0
PAUSE_MAX_S = 15.0
"""Between two requests to a host that is down, at most: it is noticed so late that it is back."""
ANSWERED_LATELY_S = 1.0
"""A host that answered so shortly before a request was up, however short the request was."""
HOSTS_MAX = 10_000

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Host:
    answered_at: float | None = None
    """Loop time of its last answer; None before the first."""
    down: bool = False
    why: str = ""
    """What the last request to it ended with, if it is down."""
    failures: int = 0
    """Requests that failed, one after the other, since it is down."""
    failed_at: float = 0.0
    due_at: float = 0.0
    """When a host that is down may be tried again."""
    back: bool = False
    """It has answered again; the next request that it does not answer fails because of its URL."""
    contact: Contact | None = None
    """The request that finds out whether it answers."""
    contacted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when ``contact`` has ended."""

    @property
    def up(self) -> bool:
        return self.answered_at is not None and not self.down


class Contact:
    """The right to send requests to hosts of which it is not known that they answer.

    It ends with the host's answer or failure, or with the block; ending it again does nothing.
    """

    def __init__(self) -> None:
        self._held: list[tuple[_Host, asyncio.Semaphore]] = []

    def hold(self, host: _Host, limit: asyncio.Semaphore) -> None:
        """Hold a host and a place in the limit."""
        self._held.append((host, limit))

    def end(self) -> None:
        """Let others contact the hosts."""
        held, self._held = self._held, []
        for host, limit in held:
            limit.release()
            host.contact = None
            host.contacted.set()

    def __enter__(self) -> Contact:
        """Hold the right for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.end()


class HostRequest:
    """One request on its way to its hosts, the proxy first."""

    def __init__(self, down_hosts: DownHosts, hosts: Sequence[str]) -> None:
        self._down_hosts = down_hosts
        self._hosts = hosts
        self._answered = False
        self.begun = asyncio.get_running_loop().time()

    def may_come_back(self) -> bool:
        """Return whether the URL's own host has answered this worker before."""
        return self._down_hosts.has_answered(self._hosts[-1])

    def answered(self) -> None:
        """Record that the headers of a response have arrived."""
        self._answered = True
        for host in self._hosts:
            self._down_hosts.answered(host)

    def proxy_answered(self) -> None:
        """Record that the proxy has answered in the host's stead."""
        self._down_hosts.answered(self._hosts[0])

    def failed(self, why: str, *, sent: bool, at_proxy: bool = False) -> HostDown | None:
        """Judge a request that failed; return the outage, or None if it is the URL's own failure.

        Args:
            why: what happened.
            sent: whether there was a connection, so that the host may have seen the URL.
            at_proxy: whether there was no connection to the proxy.
        """
        if self._answered:
            return None
        host = self._hosts[0] if at_proxy else self._hosts[-1]
        return self._down_hosts.failed(host, why, begun=self.begun, sent=sent)


CONTACTS_SHARE = 1 / 2
PROBES_SHARE = 1 / 8
"""Of a worker's downloads: so many hosts that have not answered yet, or are down, are sent a
request at a time."""


def contact_limits(downloads: int) -> tuple[int, int]:
    """Return how many hosts are contacted, and how many tried again, beside so many downloads."""
    return max(1, int(downloads * CONTACTS_SHARE)), max(1, int(downloads * PROBES_SHARE))


class DownHosts:
    """Which hosts are down, in one worker. For one event loop.

    Args:
        contacts: the most hosts that are contacted for the first time at once.
        probes: the most hosts that are down and tried again at once.
    """

    def __init__(self, *, contacts: int, probes: int) -> None:
        self._contacts = asyncio.Semaphore(contacts)
        self._probes = asyncio.Semaphore(probes)
        self._hosts: OrderedDict[str, _Host] = OrderedDict()

    def check(self, hosts: Sequence[str]) -> None:
        """Raise `HostDown` if one of the hosts is down and not to be tried by another now."""
        for name in hosts:
            host = self._host(name)
            if host.down and (host.contact is not None or _rest_s(host) > 0):
                raise _postponed(name, host)

    async def contact(self, hosts: Sequence[str]) -> Contact:
        """Wait until hosts may be contacted that have not answered yet, or that are down.

        One contact of each host exists at a time; the others wait for what it finds out. Hosts that
        answer need none.

        Raises:
            HostDown: one of them is down, and is not to be tried by another now.
        """
        contact = Contact()
        try:
            for name in hosts:
                await self._claim(name, contact)
        except BaseException:
            contact.end()
            raise
        return contact

    async def _claim(self, name: str, contact: Contact) -> None:
        while not (host := self._host(name)).up:
            if host.contact is None:
                limit = self._probes if host.down else self._contacts
                if host.down and (_rest_s(host) > 0 or limit.locked()):
                    raise _postponed(name, host)
                host.contact = contact
                host.contacted.clear()
                try:
                    await limit.acquire()
                except BaseException:
                    host.contact = None
                    host.contacted.set()
                    raise
                return contact.hold(host, limit)
            if host.down:
                raise _postponed(name, host)
            await host.contacted.wait()
        return None

    def request(self, hosts: Sequence[str]) -> HostRequest:
        """Return a request that begins now.

        Raises:
            HostDown: one of the hosts is down and was tried a moment ago.
        """
        for name in hosts:
            host = self._host(name)
            if host.down and host.contact is None and _rest_s(host) > 0:
                raise _postponed(name, host)
        return HostRequest(self, hosts)

    def has_answered(self, name: str) -> bool:
        """Return whether a host has answered before; of those not used for long it is forgotten."""
        host = self._hosts.get(name)
        return host is not None and host.answered_at is not None

    def answered(self, name: str) -> None:
        """Record that a host answers."""
        host = self._host(name)
        host.answered_at = asyncio.get_running_loop().time()
        if host.down:
            log.info("host_back", host=name, failures=host.failures)
            host.down, host.failures, host.back = False, 0, True
        if host.contact is not None:
            host.contact.end()

    def failed(self, name: str, why: str, *, begun: float, sent: bool) -> HostDown | None:
        """Judge a request without an answer: see `HostRequest.failed`."""
        host, now = self._host(name), asyncio.get_running_loop().time()
        if sent and host.answered_at is not None:
            if host.answered_at >= begun - max(ANSWERED_LATELY_S, now - begun):
                return None
            if host.back:
                host.back = False
                return None
        if not host.down:
            log.warning("host_down", host=name, error=why)
        if not host.down or begun >= host.failed_at:
            # Requests that were under way together are one failure.
            host.down, host.failures, host.failed_at = True, host.failures + 1, now
            pause = longest_delay(host.failures, base_s=PAUSE_FIRST_S, cap_s=PAUSE_MAX_S)
            host.due_at = now + pause
        host.why = why
        if host.contact is not None:
            host.contact.end()
        return HostDown(name, why, retry_after_s=_rest_s(host), tried=True)

    def _host(self, name: str) -> _Host:
        host = self._hosts.get(name)
        if host is None:
            host = self._hosts[name] = _Host()
            self._forget()
        self._hosts.move_to_end(name)
        return host

    def _forget(self) -> None:
        """Forget the least recently used hosts, unless one is being contacted."""
        while len(self._hosts) > HOSTS_MAX:
            name, oldest = next(iter(self._hosts.items()))
            if oldest.contact is not None:
                return
            del self._hosts[name]


def _rest_s(host: _Host) -> float:
    return max(host.due_at - asyncio.get_running_loop().time(), 0.0)


def _postponed(name: str, host: _Host) -> HostDown:
    """Return the error for what needs a host that is down, to be raised without a request."""
    # Tried by another request just now: its outcome is known within the pause.
    wait = _rest_s(host) or longest_delay(host.failures, base_s=PAUSE_FIRST_S, cap_s=PAUSE_MAX_S)
    return HostDown(name, host.why, retry_after_s=wait, tried=False)
