"""What an operator sets for a host takes effect at once, and for this host alone."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.local_pipeline import acquiring_at, ended
from tests.support.restarting_site import restarting_site, write_list
from tests.support.waiting import until
from triptych.errors import BadInput, HostPaused
from triptych.fetch import host_throttle
from triptych.fetch.host_limit import HOST_MAX_CHARS, HostLimit, HostTraffic, host_name
from triptych.fetch.host_throttle import HostThrottle
from triptych.gather.object_url import parse_object_url
from triptych.model import RunState
from triptych.settings.source_text import OBJECT_SCHEMES
from triptych.wiring.local import Local

URLS = 12
NOW = datetime.now(UTC)


def limit(
    host: str,
    *,
    paused: bool = False,
    concurrency: int | None = None,
    per_second: float | None = None,
) -> dict[str, HostLimit]:
    return {host: HostLimit(host, paused, concurrency, per_second, NOW, "anna", None, "anna")}


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_paused_host_has_no_turns_and_others_do() -> None:
    hosts = HostThrottle(concurrency=2, rate_per_s=None)
    held = await hosts.slot("a")
    hosts.set_limits(limit("a", paused=True))
    with pytest.raises(HostPaused, match="a is paused by anna") as paused:
        await hosts.slot("a")
    assert paused.value.retry_after_s == host_throttle.PAUSED_RETRY_S
    held.release()
    (await hosts.slot("b")).release()
    hosts.set_limits({})
    (await hosts.slot("a")).release()


async def test_who_waits_when_a_host_is_paused_gets_no_turn() -> None:
    hosts = HostThrottle(concurrency=1, rate_per_s=None)
    held = await hosts.slot("a")
    waiting = asyncio.create_task(hosts.slot("a"))
    await turns()
    hosts.set_limits(limit("a", paused=True))
    held.release()
    with pytest.raises(HostPaused):
        await waiting
    hosts.set_limits({})
    (await hosts.slot("a")).release()


async def test_more_at_a_time_lets_those_who_wait_go_on() -> None:
    hosts = HostThrottle(concurrency=1, rate_per_s=None)
    first = await hosts.slot("a")
    waiting = [asyncio.create_task(hosts.slot("a")) for _ in range(2)]
    await turns()
    assert hosts.traffic(5) == [HostTraffic("a", 1, 2)]
    hosts.set_limits(limit("a", concurrency=2))
    await turns()
    assert [task.done() for task in waiting] == [True, False]
    hosts.set_limits(limit("a", concurrency=1))
    (await waiting[0]).release()
    await turns()
    assert not waiting[1].done(), "one is under way, and no more may be"
    first.release()
    (await waiting[1]).release()
    assert hosts.traffic(5) == []


async def test_a_pace_of_its_own_replaces_that_of_the_settings_but_not_robots_txt() -> None:
    hosts = HostThrottle(concurrency=9, rate_per_s=0.5)
    host = hosts._host("a")
    assert host.pace_s == 2
    hosts.set_limits(limit("a", per_second=100.0))
    assert host.pace_s == 0.01
    hosts.pace("a", 5.0)
    assert host.pace_s == 5
    hosts.set_limits(limit("a", per_second=0.1))
    assert host.pace_s == 10
    hosts.set_limits({})
    assert host.pace_s == 5
    assert hosts._host("b").pace_s == 2


async def test_a_faster_pace_ends_a_long_wait_for_the_next_turn() -> None:
    hosts = HostThrottle(concurrency=9, rate_per_s=None)
    hosts.set_limits(limit("a", per_second=0.02))
    (await hosts.slot("a")).release()
    hosts.set_limits(limit("a", per_second=1_000.0))
    async with asyncio.timeout(5):
        (await hosts.slot("a")).release()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Images.Example.COM", "images.example.com"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("::1", "::1"),
        ("file", "file"),
        ("s3:Pictures.2026", "s3:Pictures.2026"),
    ],
)
def test_a_host_is_named_as_in_urls(text: str, name: str) -> None:
    assert host_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        *("", "a.example:80", "a.example/b", "a.example?b", "me@a.example", "a b"),
        *("https://a.example", "s3:", "s3:a/b", "s4:a", "file:a", "s3://a"),
    ],
)
def test_anything_but_one_host_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="Not a host's name") as refused:
        host_name(text)
    assert refused.value.field == "host"
    assert "images.example.com" in (refused.value.remedy or "")


@pytest.mark.parametrize(
    "url",
    [*(f"{scheme}://Pictures-1/a.png" for scheme in OBJECT_SCHEMES), "file:///a.png"],
)
def test_what_answers_for_an_object_can_be_limited(url: str) -> None:
    name = parse_object_url(url).host
    assert host_name(name) == name
    assert len(name) <= HOST_MAX_CHARS


def test_a_name_that_no_host_can_have_is_refused() -> None:
    with pytest.raises(BadInput):
        host_name(".".join(["a" * 60] * 5))
    assert HOST_MAX_CHARS == 253


async def waits_for(local: Local, run_id: UUID) -> list[tuple[str | None, int]]:
    rows = await local.stores.databases[0].fetch(
        "select distinct waits_for, attempts from items where run_id = $1", run_id
    )
    return [(row["waits_for"], row["attempts"]) for row in rows]


@pytest.mark.integration
async def test_items_of_a_paused_host_wait_uncounted_with_the_reason_and_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_throttle, "PAUSED_RETRY_S", 0.5)
    async with (
        restarting_site() as site,
        acquiring_at(tmp_path, decode=False) as local,
    ):
        limits = local.stores.limits
        await limits.put_host(
            "127.0.0.1", paused=True, concurrency=None, per_second=None, by="anna"
        )
        source = write_list(tmp_path, [site.url(number) for number in range(URLS)])
        opened = await local.submit("nike", source=source)
        marked = [("127.0.0.1 (paused)", 0)]
        await until(lambda: waits_for(local, opened.id), lambda found: found == marked)
        run = await local.stores.runs.run(opened.id)
        assert (run.state, run.settled) == (RunState.ACTIVE, 0)
        pace = await local.stores.runs.pace(opened.id)
        assert pace.waits is None or pace.waits.host == "127.0.0.1 (paused)"
        await limits.drop_host("127.0.0.1")
        over = await ended(local, opened.id)
        assert (over.state, over.done, over.failed) == (RunState.COMMITTED, URLS, 0)
        assert {attempts for _, attempts in await waits_for(local, opened.id)} == {0}
