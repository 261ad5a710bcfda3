"""What operators pause and limit: what every `LimitStore` must say of it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from tests.support.contracts.stores_contract import CommonStores
from triptych.limits.limit_store import (
    HOSTS_LIMITED_MAX,
    HostNotLimited,
    Limits,
    TooManyHosts,
)
from triptych.messages import Phase

PATIENCE_S = 30.0


class LimitsContract:
    """A subclass gives the fixture ``stores``, and the module whose limit on hosts it keeps."""

    MODULE = ""

    async def test_nothing_is_limited_at_first(self, stores: CommonStores) -> None:
        limits = await stores.limits.limits()
        assert set(limits.phases) == set(Phase)
        assert not limits.hosts
        for limit in limits.phases.values():
            assert (limit.paused, limit.concurrency, limit.changed_by) == (False, None, None)
        assert await stores.limits.held_up(within_s=3600) == frozenset()

    async def test_a_pause_keeps_its_beginning_and_who_began_it(self, stores: CommonStores) -> None:
        put = stores.limits.put_phase
        first = await put(Phase.ACQUIRE, paused=True, concurrency=None, by="anna")
        assert (first.paused, first.paused_by, first.changed_by) == (True, "anna", "anna")
        assert first.paused_at is not None
        later = await put(Phase.ACQUIRE, paused=True, concurrency=3, by="ben")
        assert (later.concurrency, later.changed_by) == (3, "ben")
        assert (later.paused_at, later.paused_by) == (first.paused_at, "anna")
        over = await put(Phase.ACQUIRE, paused=False, concurrency=3, by="ben")
        assert (over.paused, over.paused_at, over.paused_by) == (False, None, None)
        again = await put(Phase.ACQUIRE, paused=True, concurrency=None, by="carl")
        assert again.paused_by == "carl"
        assert again.paused_at is not None
        assert again.paused_at > first.paused_at
        limits = await stores.limits.limits()
        assert limits.phases[Phase.ACQUIRE] == again
        assert not limits.phases[Phase.GATHER].paused

    async def test_what_was_paused_lately_did_not_stand_still_by_itself(
        self, stores: CommonStores
    ) -> None:
        await stores.limits.put_phase(Phase.GATHER, paused=True, concurrency=None, by="a")
        assert await stores.limits.held_up(within_s=1) == {Phase.GATHER}
        await stores.limits.put_phase(Phase.GATHER, paused=False, concurrency=None, by="a")
        await stores.limits.put_phase(Phase.AI, paused=False, concurrency=2, by="a")
        assert await stores.limits.held_up(within_s=60) == {Phase.GATHER}
        assert await stores.limits.held_up(within_s=0) == frozenset()

    async def test_hosts_are_set_changed_and_dropped(self, stores: CommonStores) -> None:
        put = stores.limits.put_host
        await put("b.example", paused=True, concurrency=None, per_second=None, by="anna")
        made = await put("a.example", paused=False, concurrency=2, per_second=0.5, by="ben")
        assert (made.concurrency, made.per_second, made.paused_at) == (2, 0.5, None)
        paused = await put("a.example", paused=True, concurrency=None, per_second=None, by="carl")
        assert (paused.concurrency, paused.per_second) == (None, None)
        assert (paused.paused_by, paused.changed_by) == ("carl", "carl")
        kept = await put("a.example", paused=True, concurrency=1, per_second=None, by="dora")
        assert (kept.paused_at, kept.paused_by) == (paused.paused_at, "carl")
        hosts = (await stores.limits.limits()).hosts
        assert list(hosts) == ["a.example", "b.example"]
        assert hosts["a.example"] == kept
        await stores.limits.drop_host("a.example")
        assert list((await stores.limits.limits()).hosts) == ["b.example"]
        with pytest.raises(HostNotLimited, match=r"a\.example has no limits"):
            await stores.limits.drop_host("a.example")

    async def test_so_many_hosts_have_limits(
        self, stores: CommonStores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert HOSTS_LIMITED_MAX == 1_000
        monkeypatch.setattr(f"{self.MODULE}.HOSTS_LIMITED_MAX", 2)
        put = stores.limits.put_host
        for name in ("a", "b"):
            await put(name, paused=True, concurrency=None, per_second=None, by="x")
        with pytest.raises(TooManyHosts, match="1,000 hosts"):
            await put("c", paused=True, concurrency=None, per_second=None, by="x")
        await put("b", paused=False, concurrency=4, per_second=None, by="x")
        await stores.limits.drop_host("a")
        await put("c", paused=True, concurrency=None, per_second=None, by="x")

    async def test_changes_arrive_and_nothing_else_does(self, stores: CommonStores) -> None:
        async with aclosing(stores.limits.changes()) as changes, asyncio.timeout(PATIENCE_S):
            assert await anext(changes) == Limits()
            following = asyncio.ensure_future(anext(changes))
            await stores.limits.put_phase(Phase.AI, paused=True, concurrency=None, by="anna")
            assert (await following).phases[Phase.AI].paused
            following = asyncio.ensure_future(anext(changes))
            await stores.limits.put_host(
                "a.example", paused=True, concurrency=None, per_second=None, by="anna"
            )
            assert set((await following).hosts) == {"a.example"}
