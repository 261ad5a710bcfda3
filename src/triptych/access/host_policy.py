"""Checks of the Host and Origin headers, against DNS rebinding and cross-site requests."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from urllib.parse import urlsplit

from triptych.errors import HostRefused, OriginRefused

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
HOST_MAX_CHARS = 255
ALLOW_ORIGIN = "Add the page's site to TRIPTYCH_ALLOWED_ORIGINS."


def is_loopback(address: str) -> bool:
    """Return whether a bind address is reachable from this machine only."""
    if address == "localhost":
        return True
    try:
        return ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False


class HostPolicy:
    """Checks Host, Origin and Sec-Fetch-Site. ``any_host``: the names are unknown, so all pass.

    `any_host` is for servers that require a key from everyone: a page after DNS rebinding has none.
    """

    def __init__(self, hosts: Sequence[str], origins: Sequence[str], *, any_host: bool) -> None:
        self._hosts = frozenset(name.lower() for name in (*LOOPBACK_NAMES, *hosts))
        self._origins = frozenset(origin.lower().rstrip("/") for origin in origins)
        self._any_host = any_host

    def check_host(self, host: str | None) -> None:
        """Refuse a Host header that is not one of this server's names.

        Raises:
            HostRefused: it is another name, missing or malformed.
        """
        name = _name(host)
        if name is None or not (self._any_host or name in self._hosts):
            raise HostRefused(
                remedy="Ask for localhost, or add the name to TRIPTYCH_ALLOWED_HOSTS."
            )

    def check_origin(
        self, origin: str | None, host: str | None, fetch_site: str | None, *, navigates: bool
    ) -> None:
        """Refuse requests from another site's pages; other clients send no Origin and pass.

        Raises:
            OriginRefused: the page's site is neither this one nor allowed.
        """
        if origin is not None:
            if origin.lower() in self._origins or _same_site(origin, host):
                return
        elif fetch_site != "cross-site" or navigates:
            return
        raise OriginRefused(remedy=ALLOW_ORIGIN)

    def check_own_page(self, origin: str | None, host: str | None, fetch_site: str | None) -> None:
        """Refuse a request that no page of this server or of an allowed site is known to have sent.

        For requests whose credential is a cookie: browsers add it whichever page sends the request,
        so a request that does not say where it is from counts as another site's. A page without TLS
        is another site, too: who is on its network path may have written it.

        Raises:
            OriginRefused: the page is not known, or its site is neither this one nor allowed.
        """
        if origin is None:
            if fetch_site == "same-origin":
                return
        elif origin.lower() in self._origins or (
            origin.lower().startswith("https://") and _same_site(origin, host)
        ):
            return
        raise OriginRefused(remedy=ALLOW_ORIGIN)


def _name(host: str | None) -> str | None:
    """Return the name in a Host header, without its port."""
    if not host or len(host) > HOST_MAX_CHARS:
        return None
    if host.startswith("["):
        name, bracket, port = host.partition("]")
        name += bracket
        port = port.removeprefix(":") if port.startswith(":") or not port else "?"
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return None
    return name.lower().rstrip(".") or None


def _same_site(origin: str, host: str | None) -> bool:
    """Return whether an Origin and Host are the same site. The balancer enforces the scheme."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    plain = not (parts.path or parts.query or parts.fragment or "@" in parts.netloc)
    if parts.scheme not in {"http", "https"} or not plain or host is None:
        return False
    return parts.netloc.lower() == host.lower()
