"""Name resolution in its own threads.

A name server that does not respond blocks a thread for half a minute. In the event loop's default
executor, a handful of such names would also block the object store.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from aiohttp.abc import AbstractResolver, ResolveResult

LOOKUPS_AT_ONCE = 64
"""More than the hosts that are contacted at a time: names that are never resolved leave threads."""
NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class SystemResolver(AbstractResolver):
    """Uses the system's resolver, and so honours ``/etc/hosts`` and ``/etc/resolv.conf``."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of ``host``.

        Raises:
            OSError: it cannot be resolved.
            UnicodeError: it is not a valid name.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(_threads(), _look_up, host, port, family)

    async def close(self) -> None:
        """Do nothing: the process's other sessions share the threads."""


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(LOOKUPS_AT_ONCE, thread_name_prefix="names")


def _look_up(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    found = socket.getaddrinfo(
        host, port, family=family, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
    )
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


def _host(address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    host = str(address[0])
    scope = address[3] if len(address) == 4 else 0
    return f"{host}%{scope}" if scope else host
