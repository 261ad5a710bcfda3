"""Who may connect: a callable decides, before the handshake is answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

Scope = Mapping[str, Any]
"""An ASGI connection scope."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is connected."""

    name: str
    scopes: frozenset[str] = frozenset({"reader"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a connection is refused: an HTTP status, what is wrong and what helps."""

    status: int
    reason: str
    remedy: str


Authorise = Callable[[Scope], Awaitable[Identity | Refusal]]


async def loopback_only(scope: Scope) -> Identity | Refusal:
    """Admit who comes from this machine, by a name of this machine, and not from another site.

    The Host header is checked against DNS rebinding, the Origin against cross-site hijacking: a
    browser always sends it, and pages of other origins must not reach a server on loopback.
    """
    client = scope.get("client")
    if client is None or not _is_loopback(client[0]):
        return Refusal(403, "Only this machine may connect.", "Configure keys to open it.")
    headers = _headers(scope)
    host = headers.get("host", "")
    if not _names_loopback(host):
        return Refusal(403, f"The Host {host[:100]!r} is not this machine.", "Use localhost.")
    origin = headers.get("origin")
    if origin is not None and not _same_origin(origin, host):
        return Refusal(
            403,
            f"The Origin {origin[:100]!r} is another site.",
            "Connect from a page of this host.",
        )
    return Identity("loopback", frozenset({"reader", "operator"}))


def _headers(scope: Scope) -> dict[str, str]:
    return {
        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]
    }


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _names_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


def _same_origin(origin: str, host: str) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == host.lower()
