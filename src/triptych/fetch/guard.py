"""The address guard: no request from Triptych reaches an address that is not public.

It checks at three points, each sufficient for what passes it: every URL before a request and every
redirect (scheme, credentials, literal addresses, their ports); the resolver (it returns only
checked addresses, so an answer that changes between check and connection is never used); and the
creation of the socket (whatever address the others let through). `triptych.fetch.transport` opens
the guarded sessions.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from triptych.errors import PermanentItemError
from triptych.fetch.resolver import NameNotResolved
from triptych.model import Reason

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address that a gateway translates to."""
NAT64_LOCAL = IPv6Network("64:ff9b:1::/48")
"""RFC 8215: each network decides where the IPv4 address is, so it cannot be extracted."""
IPV4_COMPATIBLE = IPv6Network("::/96")
"""RFC 4291 §2.5.5.1: deprecated, but some stacks still accept it."""
TEREDO = IPv6Network("2001::/32")
DOCUMENTATION = IPv6Network("3fff::/20")
"""RFC 9637, of 2024: newer than the lists of some supported Python versions."""
RELAYS = IPv4Network("192.88.99.0/24")
"""RFC 7526: the deprecated 6to4 relay addresses; nothing is served there."""
WIRE_SERVER = IPv4Network("168.63.129.16/32")
"""Azure's metadata and agent service: a public address that every Azure VM can reach."""
NEVER = (NAT64_LOCAL, IPV4_COMPATIBLE, TEREDO, DOCUMENTATION, RELAYS, WIRE_SERVER)
ISATAP = frozenset({0x0000_5EFE, 0x0200_5EFE})
"""RFC 5214 §6.1: interface identifiers that end in an IPv4 address."""
WEB_PORTS = frozenset({80, 443})
REFUSED_REMEDY = (
    "Allow its network with TRIPTYCH_FETCH_ALLOW, or its port with TRIPTYCH_FETCH_PORTS."
)
KNOWN_MAX = 4096
"""Cached decisions: each URL needs several, mostly for the same hosts."""


class AddressRefused(OSError):
    """An address may not be reached. An OSError, as aiohttp expects from resolvers and sockets."""


class AddressGuard:
    """Decides which addresses may be reached: public ones on the web's ports.

    Args:
        allow: networks that are permitted although not public, on every port.
        ports: permitted at public addresses in addition to 80 and 443.
    """

    def __init__(self, allow: Sequence[Network] = (), ports: Sequence[range] = ()) -> None:
        self._allow = tuple(allow)
        self._ports = tuple(ports)
        self._refused = lru_cache(KNOWN_MAX)(self._refusal)

    def permits(self, address: Address) -> bool:
        """Return whether connections to ``address`` are permitted on some port."""
        if self._allows(address):
            return True
        if isinstance(address, IPv6Address):
            inner = _embedded(address)
            if inner is not None:
                return self.permits(inner)
            if address.is_site_local:
                return False
        return (
            address.is_global
            and not (address.is_multicast or address.is_reserved or address.is_unspecified)
            and not any(address in network for network in NEVER)
        )

    def check(self, address: str, port: int) -> None:
        """Raise `AddressRefused` unless connections to ``address`` on ``port`` are permitted."""
        # Only link-local addresses, which are never permitted, have a scope (fe80::1%eth0).
        if (refused := self._refused(ip_address(address.partition("%")[0]), port)) is not None:
            raise AddressRefused(f"{address} {refused}")

    def check_url(self, url: URL) -> None:
        """Check a URL before its host is resolved.

        Raises:
            PermanentItemError: it is not http(s), contains credentials, or has a literal address,
                in any spelling, that may not be reached on its port.
        """
        host = url.raw_host
        if url.scheme not in {"http", "https"} or not host:
            raise PermanentItemError(Reason.INVALID_URL, f"not an http(s) URL: {url.scheme}:")
        if url.user is not None or url.password is not None:
            raise PermanentItemError(Reason.ADDRESS_REFUSED, "credentials in the URL")
        # The encoded form is the one that is connected to; the decoded one is only for display.
        literal = _literal(host)
        if literal is None:
            return  # A name: the guarded resolver checks its addresses.
        if (refused := self._refused(literal, url.port or 0)) is not None:
            raise PermanentItemError(Reason.ADDRESS_REFUSED, f"{host} {refused}")

    def _refusal(self, address: Address, port: int) -> str | None:
        """Return why a connection is refused; None if it is permitted."""
        if not self.permits(address):
            return "is not a public address"
        if port in WEB_PORTS or any(port in known for known in self._ports):
            return None
        inner = _embedded(address) if isinstance(address, IPv6Address) else None
        if self._allows(address) or (inner is not None and self._allows(inner)):
            return None
        return f"is not reached on port {port}"

    def _allows(self, address: Address) -> bool:
        return any(address in network for network in self._allow)


class GuardedResolver(AbstractResolver):
    """Resolves names and returns only addresses that the guard permits on the requested port.

    Args:
        whole: refuse a name if any of its addresses is not permitted; for callers that cannot
            choose among them.
    """

    def __init__(
        self, guard: AddressGuard, resolver: AbstractResolver, *, whole: bool = False
    ) -> None:
        self._guard = guard
        self._resolver = resolver
        self._whole = whole

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the permitted addresses of ``host``.

        Raises:
            AddressRefused: it has addresses, and none is permitted.
            NameNotResolved: it has no address.
            OSError: it cannot be resolved.
        """
        answers = await self._resolver.resolve(host, port, family)
        if not answers:
            # aiohttp fails on an empty list without naming the host.
            raise NameNotResolved(f"{host} has no address")
        permitted, refused = [], []
        for answer in answers:
            try:
                self._guard.check(answer["host"], port)
            except AddressRefused as error:
                refused.append(str(error))
            else:
                permitted.append(answer)
        if refused and (self._whole or not permitted):
            raise AddressRefused(f"{host}: {refused[0]}")
        return permitted

    async def close(self) -> None:
        """Close the underlying resolver."""
        await self._resolver.close()


def refusal(error: BaseException) -> AddressRefused | None:
    """Return the guard's refusal in an aiohttp error's chain of causes, if any."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, AddressRefused):
            return seen
        inner = getattr(seen, "os_error", None)
        seen = inner if isinstance(inner, AddressRefused) else seen.__cause__ or seen.__context__
    return None


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address embedded in an IPv6 one: mapped, 6to4, NAT64 or ISATAP."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64 or (int(address) >> 32) & 0xFFFF_FFFF in ISATAP:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None


@lru_cache(KNOWN_MAX)
def _literal(host: str) -> Address | None:
    """Return the address that a host denotes literally; None for a name.

    This includes ``2130706433``, ``0x7f.1`` and ``0177.0.0.1``, which the system's resolver and the
    URL Standard's IPv4 parser read as 127.0.0.1.

    Raises:
        PermanentItemError: its last label is a number, but the host is not an address.
    """
    bare = host.partition("%")[0].rstrip(".")
    try:
        return ip_address(bare)
    except ValueError:
        labels = bare.split(".")
    if not _is_number(labels[-1]):
        return None
    try:
        return _numeric(labels)
    except ValueError as error:
        raise PermanentItemError(Reason.INVALID_URL, f"{host[:100]} is no address") from error


def _is_number(label: str) -> bool:
    if label.isascii() and label.isdigit():
        return True
    digits = label.lower().removeprefix("0x")
    return label[:2].lower() == "0x" and set(digits) <= set("0123456789abcdef")


def _numeric(labels: Sequence[str]) -> IPv4Address:
    """Parse one to four numbers, decimal, octal or hexadecimal; the last fills the other bytes.

    Raises:
        ValueError: they are not an address (URL Standard §3.5, IPv4 parser).
    """
    *heads, last = [_number(label) for label in labels]
    if len(heads) > 3 or any(head > 255 for head in heads):
        raise ValueError("no address")
    value = 0
    for head in heads:
        value = value << 8 | head
    room = 8 * (4 - len(heads))
    if last >> room:
        raise ValueError("no address")
    return IPv4Address(value << room | last)


def _number(label: str) -> int:
    if label[:2].lower() == "0x":
        return int(label[2:] or "0", 16)
    return int(label, 8 if len(label) > 1 and label.startswith("0") else 10)
