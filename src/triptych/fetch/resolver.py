"""Name resolution in its own threads.

A name server that does not respond blocks a thread for half a minute. In the event loop's default
executor, a handful of such names would also block the object store.
"""

from __future__ import annotations

import asyncio
import socket
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUPS_AT_ONCE = 64
"""More than the hosts that are contacted at a time: names that are never resolved leave threads."""
MISSING_S = 10.0
"""A name that does not exist is not looked up again for so long (RFC 2308), for each session."""
MISSING_MAX = 10_000
"""Names that do not exist, and are remembered."""
NO_SUCH_NAME = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY})
"""What the system's resolver says when it has an answer: there is no such name, or it has no
address that this machine could use. Without an answer it says `socket.EAI_AGAIN`."""
NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class NameNotResolved(OSError):
    """A name does not exist, or has no address. An OSError, as aiohttp expects from resolvers."""


def missing_name(error: BaseException) -> NameNotResolved | None:
    """Return what says that the name of a request does not exist, if that made the request fail.

    ``error`` is the request's: of aiohttp, or of a resolver.
    """
    # aiohttp wraps what its connector raises, and what a middleware raises.
    causes = (error, getattr(error, "os_error", None), error.__cause__)
    return next((cause for cause in causes if isinstance(cause, NameNotResolved)), None)


class SystemResolver(AbstractResolver):
    """Uses the system's resolver, and so honours ``/etc/hosts`` and ``/etc/resolv.conf``.

    For one event loop.
    """

    def __init__(self) -> None:
        self._missing: OrderedDict[str, float] = OrderedDict()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``.

        Raises:
            NameNotResolved: the name does not exist, or has no address.
            OSError: it cannot be resolved now.
            UnicodeError: it is not a valid name.
        """
        loop = asyncio.get_running_loop()
        if self._missing.get(host, 0.0) > loop.time():
            raise _not_resolved(host)
        try:
            return await loop.run_in_executor(_threads(), _look_up, host, port, family)
        except NameNotResolved:
            self._missing[host] = loop.time() + MISSING_S
            self._missing.move_to_end(host)
            if len(self._missing) > MISSING_MAX:
                self._missing.popitem(last=False)
            raise

    async def close(self) -> None:
        """Do nothing: the process's other sessions share the threads."""


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="names")


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    try:
        found = socket.getaddrinfo(
            host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except socket.gaierror as error:
        if error.errno in NO_SUCH_NAME:
            raise _not_resolved(host) from error
        raise
    return [
        ResolveResult(
            hostname=host,
            host=_host(address),
            port=int(address[1]),
            family=kind,
            proto=protocol,
            flags=NUMERIC,
        )
        for kind, _type, protocol, _name, address in found
    ]


def _not_resolved(host: str) -> NameNotResolved:
    return NameNotResolved(f"{host} does not exist, or has no address")


def _host(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    host = str(address[0])
    scope = address[3] if len(address) == 4 else 0
    return f"{host}%{scope}" if scope else host
