"""The address guard: no request of Triptych's reaches an address that is not public.

It stands at three places, each enough for what passes it: on every URL before a request and on
every redirect (scheme, credentials, literal addresses), in the resolver (only checked addresses
are handed on, so an answer that changes between check and connection is never used), and where
the socket is made (whatever address the others let through).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
)
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from triptych.errors import PermanentItemError
from triptych.model import Reason

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address that a gateway would reach."""
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
"""RFC 8215: where in these the IPv4 address stands, each network decides; so none can be read."""
IPV4_COMPATIBLE = IPv6Network("::/96")
"""RFC 4291 §2.5.5.1, deprecated, and still understood by some stacks."""
TEREDO = IPv6Network("2001::/32")
DOCUMENTATION = IPv6Network("3fff::/20")
"""RFC 9637, of 2024: younger than the lists of some supported Python versions."""
NEVER = (NAT64_LOCAL, IPV4_COMPATIBLE, TEREDO, DOCUMENTATION)
DNS_CACHE_S = 60
DNS_CACHE_HOSTS = 10_000
KEEPALIVE_S = 30.0


class AddressRefused(OSError):
    """An address is not public. An OSError, as aiohttp expects of resolvers and sockets."""


class AddressGuard:
    """Tells public addresses from others. ``allow`` names networks that pass although not."""

    def __init__(self, allow: Sequence[Network] = ()) -> None:
        self._allow = tuple(allow)

    def permits(self, address: Address) -> bool:
        """Tell whether a connection to ``address`` may be made."""
        if any(address in network for network in self._allow):
            return True
        if isinstance(address, IPv6Address):
            inner = _embedded(address)
            if inner is not None:
                return self.permits(inner)
            if any(address in network for network in NEVER) or address.is_site_local:
                return False
        return address.is_global and not (
            address.is_multicast or address.is_reserved or address.is_unspecified
        )

    def check(self, address: str) -> None:
        """Raise `AddressRefused` unless ``address`` may be connected to."""
        # A scope (fe80::1%eth0) belongs to link-local addresses, which never pass.
        if not self.permits(ip_address(address.partition("%")[0])):
            raise AddressRefused(f"{address} is not a public address")

    def check_url(self, url: URL) -> None:
        """Refuse a URL for what can be seen of it, before anything is resolved.

        Raises:
            PermanentItemError: not http(s), credentials in it, or a literal address not public.
        """
        if url.scheme not in {"http", "https"} or not url.host:
            raise PermanentItemError(Reason.INVALID_URL, f"not an http(s) URL: {url.scheme}:")
        if url.user is not None or url.password is not None:
            raise PermanentItemError(Reason.ADDRESS_REFUSED, "credentials in the URL")
        try:
            literal = ip_address(url.host.partition("%")[0].rstrip("."))
        except ValueError:
            return  # A name: the resolver's answer is checked.
        if not self.permits(literal):
            raise PermanentItemError(Reason.ADDRESS_REFUSED, f"{url.host} is not a public address")


class GuardedResolver(AbstractResolver):
    """Resolves names and hands on only addresses that the guard permits."""

    def __init__(self, guard: AddressGuard, resolver: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the permitted addresses of ``host``.

        Raises:
            AddressRefused: it has addresses, and none is permitted.
            OSError: it cannot be resolved, or has no address.
        """
        answers = await self._resolver.resolve(host, port, family)
        if not answers:
            # What connects would stumble over an empty list instead of naming the host.
            message = f"{host} has no address"
            raise OSError(message)
        permitted = [
            answer
            for answer in answers
            if self._guard.permits(ip_address(answer["host"].partition("%")[0]))
        ]
        if not permitted:
            raise AddressRefused(f"{host} resolves to {answers[0]['host']}, not a public address")
        return permitted

    async def close(self) -> None:
        """Close the resolver behind."""
        await self._resolver.close()


def guarded_connector(
    guard: AddressGuard,
    *,
    limit: int,
    limit_per_host: int = 0,
    resolver: AbstractResolver | None = None,
) -> aiohttp.TCPConnector:
    """Return a connection pool that connects to permitted addresses only."""

    def make_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _name, address = info
        guard.check(address[0])
        return socket.socket(family=family, type=kind, proto=protocol)

    return aiohttp.TCPConnector(
        resolver=GuardedResolver(guard, resolver),
        socket_factory=make_socket,
        limit=limit,
        limit_per_host=limit_per_host,
        ttl_dns_cache=DNS_CACHE_S,
        dns_cache_max_size=DNS_CACHE_HOSTS,
        keepalive_timeout=KEEPALIVE_S,
    )


def refusal(error: BaseException) -> AddressRefused | None:
    """Return the guard's refusal behind an error of aiohttp's, if there is one."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AddressRefused):
            return seen
        inner = getattr(seen, "os_error", None)
        seen = inner if isinstance(inner, AddressRefused) else seen.__cause__ or seen.__context__
    return None


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 one stands for: mapped, 6to4 or NAT64."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
