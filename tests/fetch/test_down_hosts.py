"""Which hosts are down, who may find out whether they are back, and what is a URL's own failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from triptych.errors import HostDown
from triptych.fetch import down_hosts
from triptych.fetch.down_hosts import (
    ANSWERED_LATELY_S,
    HOSTS_MAX,
    PAUSE_MAX_S,
    DownHosts,
    contact_limits,
)

A, B, C = ["https://a"], ["https://b"], ["https://c"]
PROXY = "proxy http://p:3128"
PATIENCE_S = 30.0


def opened(*, contacts: int = 2, probes: int = 1) -> DownHosts:
    return DownHosts(contacts=contacts, probes=probes)


def refused(down: DownHosts, hosts: Sequence[str] = A) -> HostDown | None:
    return down.request(hosts).failed("refused", sent=False)


def make_due(down: DownHosts, *names: str) -> None:
    for name in names:
        down._host(name).due_at = 0.0


async def up(down: DownHosts, hosts: Sequence[str], *, seconds_ago: float = 0.0) -> None:
    with await down.contact(hosts):
        down.request(hosts).answered()
    for name in hosts:
        down._host(name).answered_at = asyncio.get_running_loop().time() - seconds_ago


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_host_that_refuses_is_down_for_everything_that_needs_it() -> None:
    down = opened()
    await up(down, A)
    outage = refused(down)
    assert outage is not None
    assert (outage.host, outage.tried, round(outage.retry_after_s)) == (A[0], True, 1)
    for refuse in (down.check, down.request):
        with pytest.raises(HostDown, match="https://a does not answer") as postponed:
            refuse(A)
        assert not postponed.value.tried
    with pytest.raises(HostDown):
        await down.contact([*B, *A])
    down.check(B)


async def test_pauses_grow_to_a_cap() -> None:
    down = opened()
    pauses = []
    for _ in range(7):
        make_due(down, *A)
        outage = refused(down)
        assert outage is not None
        pauses.append(round(outage.retry_after_s))
    assert pauses == [1, 2, 4, 8, *[PAUSE_MAX_S] * 3]


async def test_requests_under_way_together_are_one_failure() -> None:
    down = opened()
    requests = [down.request(A) for _ in range(10)]
    for request in requests:
        request.failed("refused", sent=False)
    assert down._host(*A).failures == 1


async def test_any_answer_brings_a_host_back() -> None:
    down = opened()
    for _ in range(3):
        make_due(down, *A)
        refused(down)
    make_due(down, *A)
    with await down.contact(A):
        down.request(A).answered()
    down.check(A)
    outage = refused(down)
    assert outage is not None
    assert round(outage.retry_after_s) == 1, "from the beginning"


async def test_one_request_at_a_time_finds_out_whether_a_host_is_back() -> None:
    down = opened()
    refused(down)
    make_due(down, *A)
    down.check(A)
    with await down.contact(A) as contact:
        with pytest.raises(HostDown):
            down.check(A)
        with pytest.raises(HostDown):
            await down.contact(A)
        down.request(A)  # The request of the contact.
        contact.end()
        contact.end()
        down.check(A)


async def test_so_many_hosts_that_are_down_are_tried_at_a_time() -> None:
    down = opened(probes=2)
    for hosts in (A, B, C):
        refused(down, hosts)
    make_due(down, *A, *B, *C)
    held = [await down.contact(hosts) for hosts in (A, B)]
    with pytest.raises(HostDown):
        await down.contact(C)
    held[0].end()
    (await down.contact(C)).end()


async def test_the_first_request_to_a_host_is_one_and_the_others_wait_for_it() -> None:
    down = opened()
    first = await down.contact(A)
    waiting = [asyncio.create_task(down.contact(A)) for _ in range(3)]
    await settle()
    assert not any(task.done() for task in waiting)
    down.request(A).answered()
    contacts = await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)
    assert not any(contact._held for contact in [first, *contacts]), "it answers: none is needed"


async def test_who_waits_for_a_host_that_turns_out_to_be_down_is_postponed() -> None:
    down = opened()
    with await down.contact(A):
        waiting = asyncio.create_task(down.contact(A))
        await settle()
        refused(down)
    with pytest.raises(HostDown):
        await asyncio.wait_for(waiting, PATIENCE_S)


async def test_silent_hosts_take_no_more_than_their_share_however_many_they_are() -> None:
    down = opened(contacts=2)
    await up(down, ["https://good"])
    silent = [await down.contact(A), await down.contact(B)]
    third = asyncio.create_task(down.contact(C))
    await settle()
    assert not third.done()
    (await down.contact(["https://good"])).end()
    silent[0].end()
    (await asyncio.wait_for(third, PATIENCE_S)).end()


async def test_a_contact_that_is_cancelled_leaves_nothing_behind() -> None:
    down = opened(contacts=1)
    held = await down.contact(A)
    waiting = asyncio.create_task(down.contact(B))
    await settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    held.end()
    (await asyncio.wait_for(down.contact(B), PATIENCE_S)).end()


@pytest.mark.parametrize(
    ("answered_s_ago", "took_s", "own"),
    [
        (0.5, 0.0, True),
        (ANSWERED_LATELY_S + 1, 0.0, False),
        (39.0, 20.0, True),  # 19 s before it began, and it took 20.
        (41.0, 20.0, False),
        (10.0, 20.0, True),  # While it was under way.
    ],
)
async def test_silence_of_a_host_that_answers_others_is_the_urls_own(
    answered_s_ago: float, took_s: float, own: bool
) -> None:
    down = opened()
    await up(down, A, seconds_ago=answered_s_ago)
    request = down.request(A)
    request.begun -= took_s
    assert (request.failed("reset", sent=True) is None) is own


async def test_what_was_never_sent_is_never_the_urls_own() -> None:
    down = opened()
    await up(down, A)
    assert refused(down) is not None


async def test_after_an_answer_of_its_own_a_failure_is_never_the_hosts() -> None:
    request = opened().request(A)
    request.answered()
    assert request.failed("cut", sent=True) is None


async def test_a_host_that_comes_back_each_time_is_not_down_for_a_url_that_it_never_answers() -> (
    None
):
    """Its other answers lie long ago: every other failure counts, so the URL comes to an end."""
    down = opened()
    await up(down, A, seconds_ago=100)
    own = []
    for _ in range(4):
        failure = down.request(A).failed("reset", sent=True)
        own.append(failure is None)
        if failure is not None:
            await up_again(down)
    assert own == [False, True, False, True]


async def up_again(down: DownHosts) -> None:
    make_due(down, *A)
    await up(down, A, seconds_ago=100)


async def test_a_proxy_is_a_host_of_its_own() -> None:
    down = opened()
    behind, other = [PROXY, *A], [PROXY, *B]
    outage = down.request(behind).failed("refused", sent=False, at_proxy=True)
    assert outage is not None
    assert outage.host == PROXY
    with pytest.raises(HostDown, match="proxy http://p:3128"):
        down.check(other)
    down.check(B)
    make_due(down, PROXY)
    request = down.request(behind)
    request.proxy_answered()
    outage = request.failed("HTTP 502", sent=False)
    assert outage is not None
    assert outage.host == A[0]
    down.check(other)


async def test_g8_hosts_are_forgotten_but_those_that_are_being_contacted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(down_hosts, "HOSTS_MAX", 100)
    assert HOSTS_MAX > 1000
    down = opened()
    for number in range(200):
        down.answered(str(number))
    assert len(down._hosts) == 100
    with await down.contact(A):
        for number in range(200):
            down.answered(str(number))
        assert down._host(*A).contact is not None


@pytest.mark.parametrize("downloads", [1, 2, 8, 64, 1000])
def test_hosts_that_are_dead_leave_most_downloads_to_the_others(downloads: int) -> None:
    contacts, probes = contact_limits(downloads)
    assert min(contacts, probes) >= 1
    assert contacts + probes <= max(2, downloads * 3 // 4)
