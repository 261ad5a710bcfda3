"""Who is let in: names, sites, rates and keys, each by itself."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from triptych.access.access_store import ApiKey, Scope
from triptych.access.host_policy import HostPolicy, is_loopback
from triptych.access.identity import check_key_name, digest, new_token
from triptych.access.key_cache import ApiKeyCache
from triptych.access.rate_limiter import BUCKETS_MAX, RateLimiter
from triptych.errors import BadInput, HostRefused, OriginRefused, TooManyRequests

LOCAL = HostPolicy([], [], any_host=False)
NAMED = HostPolicy(["Triptych.example"], ["https://Dash.example/"], any_host=False)


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST:8321", "127.0.0.1:1", "[::1]:8321", "[::1]"),
        *("localhost.", "localhost.:80", "localhost:"),
    ],
)
def test_loopback_names_are_let_in(host: str) -> None:
    LOCAL.check_host(host)


@pytest.mark.parametrize(
    "host",
    [
        *(None, "", "evil.example", "127.0.0.1.evil.example", "localhost.evil.example"),
        *("localhost:80@evil.example", "[::1", "[::1]x", "[::1]evil:80", "localhost:8a"),
        *("localhost:٣", "evil.example:localhost", "x" * 256, "127.1", "0x7f000001", " localhost"),
    ],
)
def test_other_hosts_are_refused(host: str | None) -> None:
    with pytest.raises(HostRefused):
        LOCAL.check_host(host)


def test_names_that_are_set_are_let_in_and_with_keys_any_is() -> None:
    NAMED.check_host("triptych.example:443")
    HostPolicy([], [], any_host=True).check_host("10.0.0.7:8321")
    with pytest.raises(HostRefused):
        HostPolicy([], [], any_host=True).check_host("")


@pytest.mark.parametrize(
    ("origin", "host", "site", "navigates"),
    [
        (None, "localhost:1", None, False),
        (None, "localhost:1", "same-origin", False),
        (None, "localhost:1", "none", True),
        (None, "localhost:1", "cross-site", True),
        ("http://localhost:1", "localhost:1", "same-origin", False),
        ("https://triptych.example", "triptych.example", None, False),
        ("https://dash.example", "triptych.example", "cross-site", False),
    ],
)
def test_own_pages_and_what_is_no_page_are_let_in(
    origin: str | None, host: str, site: str | None, navigates: bool
) -> None:
    NAMED.check_origin(origin, host, site, navigates=navigates)


@pytest.mark.parametrize(
    ("origin", "site"),
    [
        *((origin, None) for origin in ("null", "", "http://evil.example", "file://")),
        *((origin, None) for origin in ("http://localhost:2", "http://localhost:1.evil.example")),
        *((origin, None) for origin in ("http://x@localhost:1", "ftp://localhost:1", "http://[")),
        ("http://localhost:1/", "same-origin"),
        ("https://dash.example.evil", None),
        (None, "cross-site"),
    ],
)
def test_pages_of_other_sites_are_refused(origin: str | None, site: str | None) -> None:
    with pytest.raises(OriginRefused):
        NAMED.check_origin(origin, "localhost:1", site, navigates=False)


@pytest.mark.parametrize(
    ("address", "loopback"),
    [
        *((name, True) for name in ("127.0.0.1", "127.9.9.9", "::1", "localhost")),
        *((name, False) for name in ("0.0.0.0", "::", "10.0.0.1", "example.org", "")),
    ],
)
def test_loopback_is_told_from_the_rest(address: str, loopback: bool) -> None:
    assert is_loopback(address) is loopback


def test_a_rate_lets_a_burst_through_and_then_its_pace() -> None:
    now = [0.0]
    rates = RateLimiter(2, 3, clock=lambda: now[0])
    for _ in range(3):
        rates.take("a")
    with pytest.raises(TooManyRequests) as refused:
        rates.take("a")
    assert refused.value.retry_after_s == pytest.approx(0.5)
    rates.take("b")
    now[0] = 0.5
    rates.take("a")
    now[0] = 1000.0
    for _ in range(3):
        rates.take("a")
    with pytest.raises(TooManyRequests):
        rates.take("a")


def test_g8_rates_remember_a_bounded_number() -> None:
    rates = RateLimiter(1, 1)
    for number in range(BUCKETS_MAX + 10):
        rates.take(str(number))
    assert len(rates._buckets) == BUCKETS_MAX


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("trk_") and len(token) == 47 for token in tokens)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "é", "x" * 65, "-", "a\n"])
def test_names_of_keys_are_plain(name: str) -> None:
    with pytest.raises(BadInput):
        check_key_name(name)


class Table:
    def __init__(self) -> None:
        self.keys: list[ApiKey] = []
        self.reads = 0

    async def live_keys(self, *, limit: int) -> list[ApiKey]:
        self.reads += 1
        return self.keys[:limit]


async def test_g8_a_flood_of_wrong_keys_reads_the_table_once_a_second() -> None:
    table, now = Table(), [0.0]
    ring = ApiKeyCache(table, clock=lambda: now[0])  # type: ignore[arg-type]
    for _ in range(1000):
        assert await ring.find("trk_wrong") is None
    assert table.reads == 1
    table.keys = [ApiKey("a", Scope.READER, digest("trk_a"), datetime.now(UTC), None)]
    assert await ring.find("trk_a") is None
    now[0] = 1.0
    found = await ring.find("trk_a")
    assert found is not None
    assert table.reads == 2
    table.keys = []
    now[0] = 5.9
    assert await ring.find("trk_a") is not None
    now[0] = 6.0
    assert await ring.find("trk_a") is None, "revoked"
