"""The address guard: what is not public is refused, however it is spelt, wherever it comes from."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from tests.support.addresses import REFUSED
from triptych.errors import PermanentItemError
from triptych.fetch.guard import (
    AddressGuard,
    AddressRefused,
    GuardedResolver,
    refusal,
)
from triptych.fetch.transport import open_session
from triptych.model import Reason

PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1"),
    *("9.255.255.255", "11.0.0.1", "126.255.255.255", "128.0.0.1", "169.253.255.255"),
    *("192.167.255.255", "192.169.0.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"),
]


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


class ScriptedResolver(AbstractResolver):
    """Gives one list of addresses after the other, and the last one from then on."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0
        self.closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=family_of(address), proto=0, flags=0
            )
            for address in found
        ]

    async def close(self) -> None:
        self.closed = True


@pytest.mark.parametrize(
    "address", [pytest.param(a, id=f"{kind} {a}") for kind, all_ in REFUSED.items() for a in all_]
)
def test_g9_what_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(AddressRefused, match="not a public address"):
        AddressGuard().check(address, 443)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_next_to_refused_networks_pass(address: str) -> None:
    guard = AddressGuard()
    guard.check(address, 443)
    guard.check_url(URL.build(scheme="https", host=address, path="/a.png"))


@pytest.mark.parametrize(
    "address",
    [
        # RFC 8215 leaves the layout to the network: with a /48 prefix this is 169.254.169.254,
        # and the last 32 bits, which look public, are padding.
        "64:ff9b:1:a9fe:a9:fe00:808:808",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    ],
)
def test_g9_a_local_nat64_address_is_refused_whatever_it_ends_in(address: str) -> None:
    assert not AddressGuard().permits(ip_address(address))
    assert AddressGuard([ip_network("64:ff9b:1::/48")]).permits(ip_address(address))


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.0.0.1./",
        "http://127.0.0.1../",
        "https://169.254.169.254/latest/meta-data/",
        "http://[::1]/",
        "http://[::ffff:7f00:1]/",
        "http://[::FFFF:127.0.0.1]:8080/a",
        "http://[fe80::1%25eth0]/",
        "http://0.0.0.0:80/",
        "http://①②⑦.0.0.1/",
        "http://127。0。0。1/",
        "HTTP://10.0.0.1/",
        "http://user@8.8.8.8/",
        "http://user:password@example.com/",
        "http://:password@example.com/",
        "http://8.8.8.8@127.0.0.1/",
        *("http://2130706433/", "http://0x7f000001/", "http://017700000001/", "http://0x7f.1/"),
        *("http://0177.0.0.1/", "http://127.1/", "http://0x7F.0X0.0.0x1./", "http://0/"),
        *("http://8.8.8.8:8080/", "https://[2606:4700::1111]:22/", "http://134744072:25/"),
    ],
)
def test_g9_urls_that_are_refused_at_sight(url: str) -> None:
    with pytest.raises(PermanentItemError) as error:
        AddressGuard().check_url(URL(url))
    assert error.value.reason is Reason.ADDRESS_REFUSED


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://example.com/a", "file:///etc/passwd", "gopher://example.com/", "data:,a"),
        *("javascript:alert(1)", "http:///a", "http:127.0.0.1", "/a", "//example.com/a", ""),
    ],
)
def test_what_is_no_absolute_http_url_is_invalid(url: str) -> None:
    with pytest.raises(PermanentItemError) as error:
        AddressGuard().check_url(URL(url))
    assert error.value.reason is Reason.INVALID_URL


def test_g9_a_password_is_not_repeated_in_the_failure() -> None:
    with pytest.raises(PermanentItemError) as error:
        AddressGuard().check_url(URL("http://user:hunter2@example.com/"))
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    [
        *("http://example.com/", "https://example.com:8443/a?b#c", "https://bücher.example/"),
        *("http://8.8.8.8/", "http://8.8.8.8#@127.0.0.1/", "http://example.com/127.0.0.1"),
        # A name of loopback: what it resolves to is refused, below.
        *("http://localhost/", "http://134744072/", "http://0x8.8.8.8/"),
    ],
)
def test_other_urls_pass_at_sight(url: str) -> None:
    AddressGuard().check_url(URL(url))


@pytest.mark.parametrize(
    ("allow", "address", "passes"),
    [
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", True),
        ("10.0.0.0/8", "192.168.0.1", False),
        ("10.0.0.0/8", "::ffff:10.1.2.3", True),
        ("10.0.0.0/8", "64:ff9b::10.1.2.3", True),
        ("10.0.0.0/8", "::ffff:192.168.0.1", False),
        ("127.0.0.1/32", "127.0.0.1", True),
        ("127.0.0.1/32", "127.0.0.2", False),
        ("127.0.0.0/8", "::1", False),
        ("::1/128", "::1", True),
        ("::1/128", "127.0.0.1", False),
        ("fd00::/8", "fd00::1", True),
        ("224.0.0.0/4", "224.0.0.1", True),
    ],
)
def test_what_is_allowed_passes_and_nothing_beside_it(
    allow: str, address: str, *, passes: bool
) -> None:
    assert AddressGuard([ip_network(allow)]).permits(ip_address(address)) is passes


async def test_g9_of_mixed_answers_only_public_ones_are_handed_on() -> None:
    resolver = GuardedResolver(
        AddressGuard(),
        ScriptedResolver(["10.0.0.1", "8.8.8.8", "::1", "fe80::1%eth0", "2606:4700::1111"]),
    )
    found = await resolver.resolve("mixed.example", 443)
    assert [answer["host"] for answer in found] == ["8.8.8.8", "2606:4700::1111"]
    assert {(answer["hostname"], answer["port"]) for answer in found} == {("mixed.example", 443)}


async def test_g9_a_name_with_private_addresses_only_is_refused() -> None:
    resolver = GuardedResolver(AddressGuard(), ScriptedResolver(["10.0.0.1", "::1"]))
    with pytest.raises(AddressRefused, match=r"inside\.example: 10\.0\.0\.1 is not a public"):
        await resolver.resolve("inside.example", 443)


async def test_g9_an_answer_that_changes_is_checked_each_time() -> None:
    inner = ScriptedResolver(["8.8.8.8"], ["127.0.0.1"], ["1.1.1.1"])
    resolver = GuardedResolver(AddressGuard(), inner)
    assert (await resolver.resolve("rebinding.example", 443))[0]["host"] == "8.8.8.8"
    with pytest.raises(AddressRefused):
        await resolver.resolve("rebinding.example", 443)
    assert (await resolver.resolve("rebinding.example", 443))[0]["host"] == "1.1.1.1"
    assert inner.asked == 3


async def test_a_name_without_addresses_is_an_error_and_no_refusal() -> None:
    resolver = GuardedResolver(AddressGuard(), ScriptedResolver([]))
    with pytest.raises(OSError, match=r"empty\.example has no address") as error:
        await resolver.resolve("empty.example", 443)
    assert refusal(error.value) is None


async def test_closing_closes_the_resolver_behind() -> None:
    inner = ScriptedResolver([])
    await GuardedResolver(AddressGuard(), inner).close()
    assert inner.closed


@pytest.mark.integration
@pytest.mark.parametrize(
    "host", ["localhost", "2130706433", "0x7f000001", "017700000001", "0x7f.1", "0177.0.0.1"]
)
async def test_g9_no_name_of_loopback_is_connected_to(host: str) -> None:
    """With the system's own resolver, which knows the decimal, hex and octal spellings."""
    async with open_session(AddressGuard(), limit=1, timeout=aiohttp.ClientTimeout(30)) as session:
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            port = server.getsockname()[1]
            with pytest.raises((aiohttp.ClientError, ValueError)) as error:
                await session.get(f"http://{host}:{port}/")
            with pytest.raises(BlockingIOError):
                server.accept()
    assert refusal(error.value) is not None or isinstance(error.value, ValueError)


async def test_g9_the_socket_is_guarded_although_the_resolver_let_pass() -> None:
    """A literal address never reaches the resolver; where the socket is made it is seen."""
    async with open_session(AddressGuard(), limit=1, timeout=aiohttp.ClientTimeout(30)) as session:
        with pytest.raises(aiohttp.ClientError) as error:
            await session.get("http://127.0.0.1:9/")
    assert refusal(error.value) is not None


def test_other_errors_are_no_refusal() -> None:
    assert refusal(OSError("gone")) is None
    nested = ValueError("outer")
    nested.__cause__ = AddressRefused("10.0.0.1")
    assert refusal(nested) is nested.__cause__
