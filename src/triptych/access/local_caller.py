"""Who is at the other end of a connection on this machine: the server's own user, or another.

An open server needs no key, so that everybody on its machine is an operator. Files are another
matter: the server reads them as its own user, and another account may not. The kernel knows which
account has opened a connection on this machine, and lists it in ``/proc/net/tcp`` and ``tcp6``
(``proc(5)``). It is asked instead of the client: so it works for the dashboard in a browser, too,
which could not read a token from the data folder.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import Any, Protocol

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
OVERFLOW = Path("/proc/sys/kernel/overflowuid")
"""The user id that stands for those which this user namespace does not know."""
OVERFLOW_UID = 65_534
ROWS_MAX = 2_000_000
"""Connections of a table that are looked at."""
ESTABLISHED = "01"
"""State of a connection whose both ends are open. One that its client has closed is listed as
root's, whoever opened it (``sock_i_uid``)."""
LOCAL, REMOTE, STATE, UID, INODE = 1, 2, 3, 7, 9
"""Columns of the tables."""
WORD_BYTES = 4

Address = tuple[str, int]


class LocalCallers(Protocol):
    """Tells whether a request comes from the user account that the server runs as."""

    async def refusal(self, scope: Mapping[str, Any], /) -> str | None:
        """Return why a request's sender is not known to be that user, as a sentence; else None."""
        ...


class Nobody:
    """For servers that others can reach: ``why`` is a sentence."""

    def __init__(self, why: str) -> None:
        self._why = why

    async def refusal(self, _scope: Mapping[str, Any], /) -> str | None:
        """See `LocalCallers.refusal`."""
        return self._why


class Everybody:
    """For servers that only their own user can reach."""

    async def refusal(self, _scope: Mapping[str, Any], /) -> str | None:
        """See `LocalCallers.refusal`."""
        return None


class SameUser:
    """For servers on loopback: the kernel is asked for the sender's user id."""

    async def refusal(self, scope: Mapping[str, Any], /) -> str | None:
        """See `LocalCallers.refusal`."""
        client, server = scope.get("client"), scope.get("server")
        if client is None or server is None or server[1] is None:
            return "The server does not know the address of the connection."
        try:
            uid = await asyncio.to_thread(peer_uid, (client[0], client[1]), (server[0], server[1]))
        except (OSError, ValueError) as error:
            return f"The kernel does not tell which user has opened the connection ({error})."
        if uid is None:
            return "The connection is not of a process on this machine, or not an open one."
        if uid == overflow_uid():
            return "The user who has opened the connection has no id where the server runs."
        if uid != os.geteuid():
            return f"User {uid} has opened the connection, and the server runs as {os.geteuid()}."
        return None


def peer_uid(client: Address, server: Address) -> int | None:
    """Return the user id of the process that has opened a TCP connection on this machine.

    As this process' user namespace maps it. None if no open connection has these two ends here:
    its client is elsewhere, or has closed it. Blocks.

    Raises:
        OSError: the kernel has no such table.
        ValueError: an address is none, or a table is not as ``proc(5)`` says.
    """
    ends = {(_end(*one), _end(*other)) for one, other in _written(client, server)}
    found = {uid for table in TABLES if table.exists() for uid in _uids(table, ends)}
    if not any(table.exists() for table in TABLES):
        raise OSError(f"there is no {TABLES[0]}")
    if len(found) > 1:
        raise ValueError("it lists the connection more than once")
    return found.pop() if found else None


def overflow_uid() -> int:
    """Return the user id that the kernel shows for those which it cannot map."""
    try:
        return int(OVERFLOW.read_text())
    except OSError:
        return OVERFLOW_UID


def _uids(table: Path, ends: set[tuple[str, str]]) -> Iterator[int]:
    with table.open(encoding="ascii") as rows:
        next(rows, None)  # The heading.
        for number, row in enumerate(rows):
            if number >= ROWS_MAX:
                raise ValueError(f"it lists more than {ROWS_MAX} connections")
            cells = row.split()
            if len(cells) <= INODE:
                raise ValueError("a row is too short")
            if (cells[LOCAL], cells[REMOTE]) not in ends:
                continue
            # Without an inode, no process has it open any more.
            if cells[STATE] == ESTABLISHED and cells[INODE] != "0":
                yield int(cells[UID])


def _written(client: Address, server: Address) -> Iterator[tuple[Address, Address]]:
    """Yield both ends as the table of their family has them, and as the other one may."""
    yield client, server
    one, other = _ipv4(client[0]), _ipv4(server[0])
    if one is not None and other is not None:
        yield (str(one), client[1]), (str(other), server[1])
        yield (f"::ffff:{one}", client[1]), (f"::ffff:{other}", server[1])


def _ipv4(host: str) -> IPv4Address | None:
    """Return an IPv4 address, also one that is mapped into IPv6."""
    address = ip_address(host)
    return address.ipv4_mapped if isinstance(address, IPv6Address) else address


def _end(host: str, port: int) -> str:
    """Return an address as the tables write it: words of the machine's byte order, in hex."""
    address = ip_address(host)
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    packed = socket.inet_pton(family, str(address).partition("%")[0])
    words = (packed[at : at + WORD_BYTES] for at in range(0, len(packed), WORD_BYTES))
    return "".join(f"{int.from_bytes(word, sys.byteorder):08X}" for word in words) + f":{port:04X}"
