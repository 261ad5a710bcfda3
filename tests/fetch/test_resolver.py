"""The system's resolver: what it says of a name, and how often it is asked."""

from __future__ import annotations

import socket

import aiohttp
import pytest

from triptych.fetch import resolver
from triptych.fetch.resolver import NameNotResolved, SystemResolver, missing_name


class Lookups:
    """Stands for ``socket.getaddrinfo``, and fails with an errno."""

    def __init__(self, errno: int) -> None:
        self.errno = errno
        self.asked: list[str] = []

    def __call__(self, host: str, *_: object, **__: object) -> list[object]:
        self.asked.append(host)
        raise socket.gaierror(self.errno, "it failed")


def looking_up(monkeypatch: pytest.MonkeyPatch, errno: int) -> Lookups:
    lookups = Lookups(errno)
    monkeypatch.setattr(socket, "getaddrinfo", lookups)
    return lookups


@pytest.mark.parametrize("errno", [socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY])
async def test_a_name_that_does_not_exist_is_remembered_for_a_while(
    monkeypatch: pytest.MonkeyPatch, errno: int
) -> None:
    lookups = looking_up(monkeypatch, errno)
    system = SystemResolver()
    for _ in range(3):
        with pytest.raises(NameNotResolved, match=r"a\.example does not exist, or has no address"):
            await system.resolve("a.example", 80)
    with pytest.raises(NameNotResolved):
        await system.resolve("b.example", 80)
    assert lookups.asked == ["a.example", "b.example"]
    monkeypatch.setattr(resolver, "MISSING_S", -1.0)
    for _ in range(2):
        with pytest.raises(NameNotResolved):
            await SystemResolver().resolve("a.example", 80)
    assert len(lookups.asked) == 4


async def test_g8_names_that_do_not_exist_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    lookups = looking_up(monkeypatch, socket.EAI_NONAME)
    monkeypatch.setattr(resolver, "MISSING_MAX", 2)
    system = SystemResolver()
    for host in ("a", "b", "c", "c", "a"):
        with pytest.raises(NameNotResolved):
            await system.resolve(host, 80)
    assert lookups.asked == ["a", "b", "c", "a"]


@pytest.mark.parametrize("errno", [socket.EAI_AGAIN, socket.EAI_FAIL, socket.EAI_SYSTEM])
async def test_a_resolver_without_an_answer_is_asked_again(
    monkeypatch: pytest.MonkeyPatch, errno: int
) -> None:
    lookups = looking_up(monkeypatch, errno)
    system = SystemResolver()
    for _ in range(2):
        with pytest.raises(socket.gaierror) as error:
            await system.resolve("a.example", 80)
        assert missing_name(error.value) is None
    assert lookups.asked == ["a.example"] * 2


def test_other_errors_name_no_name() -> None:
    assert missing_name(OSError("no")) is None
    assert missing_name(aiohttp.ClientPayloadError("no")) is None
