"""Who has opened a connection on this machine, as the kernel tells."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from triptych.access import local_caller
from triptych.access.local_caller import Everybody, Nobody, SameUser, overflow_uid, peer_uid

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        not local_caller.TABLES[0].exists(), reason="the kernel has no table of connections"
    ),
]

OTHER_UID = 10_001
HEADING = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
CLIENT, SERVER = ("127.0.0.1", 0xC000), ("127.0.0.1", 0x2081)


@contextmanager
def listening(family: int = socket.AF_INET, host: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_server((host, 0), family=family) as server:
        server.settimeout(10)
        yield server


def scope(accepted: socket.socket) -> dict[str, object]:
    return {"client": accepted.getpeername()[:2], "server": accepted.getsockname()[:2]}


def row(state: str = "01", uid: int | str = 0, inode: int = 7, ends: str = "0100007F:C000") -> str:
    return f"   1: {ends} 0100007F:2081 {state} 0:0 00:0 0 {uid} 0 {inode} 1 0 20 4 30 10 -1\n"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "tcp"
    monkeypatch.setattr(local_caller, "TABLES", (path, tmp_path / "tcp6"))
    return path


@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
async def test_a_process_of_the_servers_own_user_is_known(family: int, host: str) -> None:
    with listening(family, host) as server:
        name = server.getsockname()
        with socket.create_connection(name[:2]), closing(server.accept()[0]) as accepted:
            assert peer_uid(accepted.getpeername()[:2], name[:2]) == os.geteuid()
            assert await SameUser().refusal(scope(accepted)) is None


async def test_an_ipv4_client_of_an_ipv6_socket_is_found() -> None:
    with listening() as server, socket.socket(socket.AF_INET6) as client:
        client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
        with closing(server.accept()[0]) as accepted:
            assert await SameUser().refusal(scope(accepted)) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
async def test_another_account_is_refused() -> None:
    with listening() as server:
        script = f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}; read <&3"
        client = subprocess.Popen(
            ["/bin/bash", "-c", script], user=OTHER_UID, group=OTHER_UID, extra_groups=[]
        )
        try:
            with closing(server.accept()[0]) as accepted:
                assert peer_uid(accepted.getpeername(), accepted.getsockname()) == OTHER_UID
                assert str(OTHER_UID) in (await SameUser().refusal(scope(accepted)) or "")
        finally:
            await asyncio.to_thread(client.wait)


async def test_a_client_that_has_closed_its_end_is_nobody() -> None:
    """The kernel lists such a connection as root's."""
    with listening() as server:
        client = socket.create_connection(server.getsockname())
        with closing(server.accept()[0]) as accepted:
            client.close()
            assert accepted.recv(1) == b""
            assert await SameUser().refusal(scope(accepted)) is not None


async def test_connections_without_an_address_are_refused() -> None:
    for told in ({}, {"client": None, "server": None}, {"client": SERVER, "server": ("/x", None)}):
        assert await SameUser().refusal(told) is not None


async def test_a_kernel_without_the_table_refuses(table: Path) -> None:
    refusal = await SameUser().refusal({"client": CLIENT, "server": SERVER})
    assert "does not tell" in (refusal or "")
    assert str(table) in (refusal or "")


@pytest.mark.parametrize(
    "rows",
    [
        "",
        row(state="06"),
        row(state="08"),
        row(inode=0),
        row(ends="0100007F:C001"),
        row(uid=overflow_uid()),
        row() + row(uid=5),
        "   1: short\n",
        row(uid="x"),
    ],
    ids=[
        *("none", "time-wait", "close-wait", "no-inode", "other-port", "unmapped-user"),
        *("two-users", "short", "no-number"),
    ],
)
async def test_what_is_not_plainly_the_same_user_is_refused(
    table: Path, monkeypatch: pytest.MonkeyPatch, rows: str
) -> None:
    told = {"client": CLIENT, "server": SERVER}
    table.write_text(HEADING + row())
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert await SameUser().refusal(told) is None
    if str(overflow_uid()) in rows:
        # A server that runs as nobody looks like every user that is not known.
        monkeypatch.setattr(os, "geteuid", overflow_uid)
    table.write_text(HEADING + rows)
    assert await SameUser().refusal(told) is not None


async def test_the_others_ask_nobody() -> None:
    assert await Everybody().refusal({}) is None
    assert await Nobody("No.").refusal({}) == "No."
