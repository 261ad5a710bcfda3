"""What every adapter of the stores must do. A subclass gives the fixture ``stores``.

The barrier's deeper proofs (crashes, racers, every row of the failure table) are in
``tests/runs``; this is each verb by itself, through the port only.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace
from typing import Protocol
from uuid import UUID, uuid4

import numpy as np
import pytest

from triptych.ai.ai_store import AiStore
from triptych.ai.step import load_snapshot
from triptych.dead_letters.dead_letter_store import DeadLetter, DeadLetterStore
from triptych.errors import (
    BrandNotFound,
    Conflict,
    RunActive,
    RunEnded,
    RunNotFound,
)
from triptych.gather.urls import item_key
from triptych.limits.limit_store import LimitStore
from triptych.messages import GATHER_QUEUE, Headers
from triptych.model import (
    AiState,
    Colour,
    Item,
    ItemResult,
    ItemState,
    NewItem,
    Policy,
    Reason,
    Run,
    RunKind,
    RunState,
    Staged,
)
from triptych.runs.brand_store import TRUSTED_MAX, BrandStore
from triptych.runs.change_feed import ChangeFeed
from triptych.runs.fleet_store import FleetStore
from triptych.runs.given_urls import GivenUrl
from triptych.runs.item_store import ItemStore
from triptych.runs.outage_store import OutageStore
from triptych.runs.picture_store import PictureStore
from triptych.runs.run_store import (
    Opened,
    RowsRead,
    RunStore,
)
from triptych.snapshots.snapshot_store import SnapshotStore

POLICY = Policy(tolerated_failures=0.5, max_attempts=3, deadline_s=3600)
LIMIT = 500
PATIENCE_S = 20.0


class CommonStores(Protocol):
    """The stores that Postgres has, and memory too."""

    runs: RunStore
    outages: OutageStore
    items: ItemStore
    pictures: PictureStore
    fleet: FleetStore
    brands: BrandStore
    changes: ChangeFeed
    dead_letters: DeadLetterStore
    snapshots: SnapshotStore
    ai: AiStore
    limits: LimitStore

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless they can be used."""
        ...


def new_items(count: int, start: int = 0) -> list[NewItem]:
    urls = [f"https://x/{number}" for number in range(start, start + count)]
    return [NewItem(item_key(url), url, {"url": url}) for url in urls]


def done(item: Item, content: str = "same") -> ItemResult:
    digest = hashlib.sha256(f"{content} {item.url}".encode()).digest()
    vector = np.zeros(16, np.float32)
    vector[digest[0] % 16] = 1
    return ItemResult(
        item.key,
        Staged(
            sha256=digest,
            object_key=f"sha256/{digest.hex()}",
            media_type="image/png",
            size_bytes=10,
            width=4,
            height=3,
            phash=-7,
            embedding=vector,
            model="m",
            etag='"e"',
            last_modified="t",
            colours=(Colour(0x00FF7F, 0.75), Colour(0, 0.25)),
        ),
    )


def failed(item: Item) -> ItemResult:
    return ItemResult(item.key, None, Reason.NOT_FOUND, "404 \x00 <b>")


async def open_run(
    stores: CommonStores,
    brand: str = "nike",
    *,
    run_id: UUID | None = None,
    kind: RunKind = RunKind.FULL,
) -> Opened:
    return await stores.runs.open_run(
        brand,
        run_id=run_id or uuid4(),
        kind=kind,
        source="manifest:x",
        policy=POLICY,
        enqueue_gather_message=True,
    )


async def committed(
    stores: CommonStores, count: int = 5, content: str = "same", brand: str = "nike"
) -> Run:
    run_id = (await open_run(stores, brand)).run.id
    items = await stores.runs.expect(run_id, new_items(count), cursor=None, limit=LIMIT)
    await stores.runs.seal(run_id)
    await stores.runs.settle(run_id, [done(item, content) for item in items], limit=LIMIT)
    return await stores.runs.commit(run_id)


async def restore(stores: CommonStores, snapshot: UUID, *, run_id: UUID | None = None) -> Opened:
    return await stores.runs.open_run(
        "nike",
        run_id=run_id or uuid4(),
        kind=RunKind.RESTORE,
        source=None,
        policy=POLICY,
        enqueue_gather_message=True,
        restores=snapshot,
    )


class CatalogueContract:
    """One method, one transaction; all of them safe to repeat."""

    async def test_check_passes_on_a_migrated_database(self, stores: CommonStores) -> None:
        await stores.check()

    async def test_one_active_run_a_brand_and_its_message_is_owed(
        self, stores: CommonStores
    ) -> None:
        first, second = await asyncio.gather(open_run(stores), open_run(stores))
        assert {first.created, second.created} == {True, False}
        assert first.run.id == second.run.id
        (outbox_pending,) = await stores.runs.outbox_pending(
            run_id=first.run.id, older_s=0, limit=10
        )
        assert (outbox_pending.queue, dict(outbox_pending.message.body)) == (
            GATHER_QUEUE,
            {"brand": "nike"},
        )
        assert Headers.decode(outbox_pending.message.headers).run_id == first.run.id
        await stores.runs.mark_sent([outbox_pending.id])
        assert not await stores.runs.outbox_pending(run_id=None, older_s=0, limit=10)

    async def test_a_run_of_another_source_is_not_joined_and_nothing_changes(
        self, stores: CommonStores
    ) -> None:
        active = (await open_run(stores)).run

        async def another(source: str | None) -> Opened:
            return await stores.runs.open_run(
                "nike",
                run_id=uuid4(),
                kind=RunKind.FULL,
                source=source,
                policy=POLICY,
                enqueue_gather_message=True,
            )

        with pytest.raises(RunActive, match="of another source: manifest:x") as refused:
            await another("manifest:y")
        assert (refused.value.run_id, refused.value.source) == (active.id, "manifest:x")
        assert (await stores.brands.brand("nike")).source == "manifest:x"
        for same in (None, "manifest:x"):
            joined = await another(same)
            assert (joined.run.id, joined.created) == (active.id, False)

    async def test_a_source_that_is_refused_is_not_the_brands(self, stores: CommonStores) -> None:
        async def started(source: str | None) -> Run:
            opened = await stores.runs.open_run(
                "nike",
                run_id=uuid4(),
                kind=RunKind.FULL,
                source=source,
                policy=POLICY,
                enqueue_gather_message=False,
            )
            return opened.run

        async def refused(source: str | None) -> str | None:
            await stores.runs.fail((await started(source)).id, "refused", gives_back=True)
            return (await stores.brands.brand("nike")).source

        assert await refused("manifest:first") is None, "it had none"
        await stores.runs.cancel((await started("manifest:good")).id)
        assert await refused("manifest:bad") == "manifest:good"
        assert (await started(None)).source == "manifest:good"
        assert await refused(None) == "manifest:good", "no run brought it"
        await stores.brands.put_brand("nike", source="manifest:put", schedule=None, due_at=None)
        assert await refused("manifest:put") == "manifest:put", "it is the brand's already"
        partly = await started("manifest:partly")
        rows = RowsRead(3, [], True, [])
        await stores.runs.expect(partly.id, new_items(3), cursor="c", limit=LIMIT, rows=rows)
        await stores.runs.fail(partly.id, "refused", gives_back=True)
        assert (await stores.brands.brand("nike")).source == "manifest:partly", "it has been read"

    async def test_a_source_is_not_kept_without_its_run(self, stores: CommonStores) -> None:
        """Another kind of run is active, so that the one that would bring it does not begin."""
        await open_run(stores)
        await stores.runs.cancel((await stores.runs.runs("nike", limit=1))[0].id)
        adding = await stores.runs.open_run(
            "nike",
            run_id=uuid4(),
            kind=RunKind.ADD,
            source=None,
            policy=POLICY,
            enqueue_gather_message=False,
        )
        for source in ("manifest:y", "manifest:x"):
            with pytest.raises(RunActive, match="is taking in single URLs") as active:
                await stores.runs.open_run(
                    "nike",
                    run_id=uuid4(),
                    kind=RunKind.FULL,
                    source=source,
                    policy=POLICY,
                    enqueue_gather_message=True,
                )
            assert active.value.run_id == adding.run.id
        assert (await stores.brands.brand("nike")).source == "manifest:x"

    async def test_a_run_id_opens_once_even_when_it_has_ended(self, stores: CommonStores) -> None:
        run_id = uuid4()
        await open_run(stores, run_id=run_id)
        await stores.runs.cancel(run_id)
        again = await open_run(stores, run_id=run_id)
        assert (again.created, again.run.state) == (False, RunState.CANCELLED)

    async def test_expect_counts_each_url_once_and_keeps_the_cursor(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        refused = NewItem(b"r" * 16, "ftp://x", {}, Reason.INVALID_URL, "no")
        await stores.runs.expect(
            run_id, [*new_items(3), *new_items(2), refused], cursor="c", limit=LIMIT
        )
        await stores.runs.expect(run_id, new_items(3), cursor="d", limit=LIMIT)
        run = await stores.runs.run(run_id)
        assert (run.expected, run.failed, run.out) == (4, 1, 3)
        assert await stores.runs.gather_cursor(run_id) == "d"

    async def test_g3_an_unsealed_run_cannot_commit(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(2), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
        assert (await stores.runs.commit(run_id)).state is RunState.ACTIVE
        await stores.runs.seal(run_id)
        assert (await stores.runs.commit(run_id)).state is RunState.COMMITTED

    async def test_g2_a_commit_that_does_not_wait_commits_a_free_run(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        await stores.runs.seal(run_id)
        assert (await stores.runs.commit(run_id, wait=False)).state is RunState.COMMITTED
        with pytest.raises(RunNotFound):
            await stores.runs.commit(uuid4(), wait=False)

    async def test_g3_a_run_of_nothing_commits_when_sealed(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        assert (await stores.runs.seal(run_id)).complete
        run = await stores.runs.commit(run_id)
        assert (run.state, run.added) == (RunState.COMMITTED, 0)

    async def test_what_is_no_picture_has_no_size_in_pixels(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        (item,) = await stores.runs.expect(run_id, new_items(1), cursor=None, limit=LIMIT)
        staged = Staged(b"0" * 32, "sha256/film", "video/mp4", 9, None, None, None, None, None)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [ItemResult(item.key, staged)], limit=LIMIT)
        await stores.runs.commit(run_id)
        (asset,) = await stores.snapshots.assets(run_id, after=None, limit=LIMIT)
        assert (asset.media_type, asset.width, asset.height, asset.phash) == (
            "video/mp4",
            None,
            None,
            None,
        )
        assert (await stores.snapshots.known_assets("nike", [item.key]))[item.key] == staged

    async def test_g1_commit_publishes_everything_at_once(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(5), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [done(item) for item in items], limit=LIMIT)
        assert (await stores.brands.brand("nike")).current_run is None
        run = await stores.runs.commit(run_id)
        brand = await stores.brands.brand("nike")
        assert (brand.current_run, brand.assets) == (run_id, 5)
        assert (run.state, run.added, run.ai_state) == (RunState.COMMITTED, 5, AiState.QUEUED)
        pages = [page async for page in stores.snapshots.stream_assets(run_id, batch=2)]
        assert [len(page) for page in pages] == [2, 2, 1]
        asset = pages[0][0]
        result = {item.key: done(item).staged for item in items}[asset.key]
        assert result is not None
        assert (asset.sha256, asset.phash, asset.model) == (result.sha256, -7, "m")
        assert asset.colours == result.colours == (Colour(0x00FF7F, 0.75), Colour(0, 0.25))
        assert asset.embedding is not None
        np.testing.assert_array_equal(asset.embedding, result.embedding)

    async def test_assets_of_two_models_keep_their_model_and_dimension(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        results = [done(item) for item in items]
        assert results[0].staged is not None
        other = replace(results[0].staged, embedding=np.ones(8, np.float32), model="n")
        results[0] = replace(results[0], staged=other)
        await stores.runs.settle(run_id, results, limit=LIMIT)
        run = await stores.runs.commit(run_id)
        expected = {items[0].key: ("n", 8), items[1].key: ("m", 16), items[2].key: ("m", 16)}
        (page,) = [page async for page in stores.snapshots.stream_assets(run_id, batch=10)]
        known = await stores.snapshots.known_assets("nike", list(expected))
        for found in ({asset.key: asset for asset in page}, known):
            assert expected == {
                key: (each.model, each.embedding.size)
                for key, each in found.items()
                if each.embedding is not None
            }
        compared = await load_snapshot(stores.snapshots, run)
        assert (compared.model, compared.embeddings.shape) == ("m", (2, 16))
        assert items[0].key not in {bytes(compared.keys[row]) for row in compared.embedded}

    async def test_g2_commit_twice_is_one_commit(self, stores: CommonStores) -> None:
        run = await committed(stores)
        assert await stores.runs.commit(run.id) == run
        kinds = [event.kind for event in await stores.runs.timeline(run.id, after=0, limit=100)]
        assert kinds.count("committed") == 1

    async def test_difference_against_the_last_snapshot(self, stores: CommonStores) -> None:
        await committed(stores, 5)
        second = await committed(stores, 3, content="other")
        assert (second.added, second.kept, second.changed, second.removed) == (0, 0, 3, 2)
        known = await stores.snapshots.known_assets("nike", [item.key for item in new_items(5)])
        assert len(known) == 3
        assert {staged.etag for staged in known.values()} == {'"e"'}

    async def test_g3_a_run_fails_whatever_its_reason_quotes(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        failed = await stores.runs.fail(run_id, "columns: \x00\x00" + "x" * 10_000)
        assert failed.state is RunState.FAILED
        assert (failed.reason or "").startswith("columns: \ufffd\ufffdx")
        assert len(failed.reason or "") < 10_000

    async def test_g1_cancel_leaves_the_snapshot(self, stores: CommonStores) -> None:
        first = await committed(stores)
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [done(items[0])], limit=LIMIT)
        cancelled = await stores.runs.cancel(run_id)
        assert (cancelled.state, cancelled.done, cancelled.out) == (RunState.CANCELLED, 1, 0)
        assert (await stores.brands.brand("nike")).current_run == first.id
        with pytest.raises(RunEnded):
            await stores.runs.settle(run_id, [done(items[1])], limit=LIMIT)
        with pytest.raises(RunEnded):
            await stores.runs.expect(run_id, new_items(1), cursor=None, limit=LIMIT)
        with pytest.raises(RunEnded):
            await stores.runs.pause(run_id, paused=True)

    async def test_a_strangers_url_opens_a_run_that_adds(self, stores: CommonStores) -> None:
        await committed(stores, 5)
        (item,) = new_items(1, start=9)

        async def accept_external() -> Item | None:
            return await stores.runs.accept_external(
                "nike", item, message_id="m1", run_id=UUID(int=1), policy=POLICY
            )

        first, again = await accept_external(), await accept_external()
        assert first is not None
        assert first == again
        assert first.state is ItemState.PENDING
        due = await stores.runs.due(idle_s=0, quiet_s=600, limit=10)
        assert due.seal == [first.run_id]
        await stores.runs.seal(first.run_id)
        await stores.runs.settle(first.run_id, [done(first)], limit=LIMIT)
        run = await stores.runs.commit(first.run_id)
        assert (run.kind, run.added, run.kept, run.removed) == (RunKind.ADD, 1, 5, 0)
        assert await accept_external() is None, "its run has ended"

    async def test_given_urls_are_one_source_and_stay_while_it_is_used(
        self, stores: CommonStores
    ) -> None:
        urls = [GivenUrl("https://x/1", {"n": 1, "zero": "\x00"}), GivenUrl(""), GivenUrl("//y")]
        source = await stores.brands.keep_urls("nike", urls)
        assert source.startswith("urls:")
        assert await stores.brands.keep_urls("nike", list(urls)) == source
        assert await stores.brands.keep_urls("nike", urls[::-1]) != source
        assert await stores.brands.kept_urls("nike", source) == urls
        assert await stores.brands.kept_urls("adidas", source) is None, "another brand has none"
        opened = await stores.runs.open_run(
            "nike",
            run_id=uuid4(),
            kind=RunKind.FULL,
            source=source,
            policy=POLICY,
            enqueue_gather_message=True,
        )
        assert opened.run.source == source
        assert (await stores.brands.brand("nike")).source == source, "as any other source"

    async def test_a_trusted_source_is_one_brands_and_the_newest_stay(
        self, stores: CommonStores
    ) -> None:
        source = "manifest:/home/a.csv"
        assert not await stores.brands.is_trusted("nike", source)
        await stores.brands.trust_source("nike", source)
        assert await stores.brands.is_trusted("nike", source)
        assert not await stores.brands.is_trusted("adidas", source)
        assert not await stores.brands.is_trusted("nike", f"{source}#key=sku")
        assert await stores.brands.brands() == [], "the brand need not exist"
        for number in range(TRUSTED_MAX - 1):
            await stores.brands.trust_source("nike", f"manifest:/home/{number}.csv")
        await stores.brands.trust_source("nike", source)
        await stores.brands.trust_source("adidas", source)
        await stores.brands.trust_source("nike", "manifest:/home/newest.csv")
        assert await stores.brands.is_trusted("nike", source), "it was named again"
        assert not await stores.brands.is_trusted("nike", "manifest:/home/0.csv")
        assert await stores.brands.is_trusted("nike", "manifest:/home/1.csv")

    async def test_failures_are_grouped_with_examples(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(5), cursor=None, limit=LIMIT)
        await stores.runs.settle(run_id, [failed(item) for item in items[:4]], limit=LIMIT)
        assert list(await stores.runs.failure_counts(run_id)) == [("not_found", 4)]
        page = await stores.runs.failed_items(run_id, "not_found", after=-1, limit=2)
        assert len(page.rows) == 2
        assert (page.rows[0].url, page.rows[0].detail) == ("https://x/0", "404 \ufffd <b>")

    async def test_redrive_refuses_what_makes_no_sense(self, stores: CommonStores) -> None:
        with pytest.raises(RunNotFound):
            await stores.runs.redrive_run(uuid4(), new_id=uuid4(), policy=POLICY)
        active = (await open_run(stores)).run.id
        with pytest.raises(Conflict, match="still active"):
            await stores.runs.redrive_run(active, new_id=uuid4(), policy=POLICY)
        await stores.runs.cancel(active)
        whole = await committed(stores)
        with pytest.raises(Conflict, match="nothing left"):
            await stores.runs.redrive_run(whole.id, new_id=uuid4(), policy=POLICY)
        assert (await stores.runs.runs("nike", limit=1))[0].id == whole.id, "no run was left behind"

    async def test_g7_a_listener_hears_of_every_changed_run(self, stores: CommonStores) -> None:
        async with stores.changes.changes() as changed:
            run_id = (await open_run(stores)).run.id
            assert await asyncio.wait_for(anext(changed), PATIENCE_S) == run_id
            before = await stores.runs.run(run_id)
            await stores.runs.pause(run_id, paused=True)
            assert await asyncio.wait_for(anext(changed), PATIENCE_S) == run_id
            assert (await stores.runs.run(run_id)).version > before.version

    async def test_g7_a_feed_tells_of_runs_and_brands(self, stores: CommonStores) -> None:
        async with stores.changes.feed(catch_up_s=PATIENCE_S) as feed, asyncio.timeout(PATIENCE_S):
            run_id = (await open_run(stores)).run.id
            runs: set[UUID] = set()
            brands: set[str] = set()
            while run_id not in runs or "nike" not in brands:
                news = await feed.news()
                runs |= news.runs.keys()
                brands |= news.brands

    async def test_brands_and_runs_are_found_together(self, stores: CommonStores) -> None:
        run = await stores.runs.run((await open_run(stores)).run.id)
        other = await stores.runs.run((await open_run(stores, "adidas")).run.id)
        found = await stores.brands.brands_of(["nike", "nobody"], [other.id, uuid4()])
        assert [brand.name for brand in found] == ["adidas", "nike"]
        assert [brand.latest for brand in found] == [other, run]
        assert await stores.brands.brands_of([], []) == []
        assert await stores.runs.runs_of([run.id, uuid4()]) == [run]

    async def test_g7_a_brands_version_grows_with_its_newest_run(
        self, stores: CommonStores
    ) -> None:
        versions = []
        for _ in range(2):
            run_id = (await open_run(stores)).run.id
            versions.append((await stores.brands.brand("nike")).version)
            await stores.runs.pause(run_id, paused=True)
            versions.append((await stores.brands.brand("nike")).version)
            await stores.runs.cancel(run_id)
            versions.append((await stores.brands.brand("nike")).version)
        assert versions == sorted(versions)
        assert len(set(versions)) >= 5

    async def test_g7_the_timeline_has_every_seq_once(self, stores: CommonStores) -> None:
        run = await committed(stores)
        events = await stores.runs.timeline(run.id, after=0, limit=100)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assert [event.kind for event in events] == ["opened", "page", "sealed", "committed"]
        assert await stores.runs.timeline(run.id, after=2, limit=1) == events[2:3]

    async def test_dead_letters_are_kept_once(self, stores: CommonStores) -> None:
        letter = DeadLetter("url-process-queue", "m", {"a": 1}, {"h": "v"}, "why", None)
        await stores.dead_letters.record(letter)
        await stores.dead_letters.record(letter)
        ((_, kept),) = await stores.dead_letters.dead_letters(limit=10)
        assert kept == letter

    async def test_unknown_names_are_told(self, stores: CommonStores) -> None:
        with pytest.raises(RunNotFound):
            await stores.runs.run(uuid4())
        with pytest.raises(BrandNotFound):
            await stores.brands.brand("nobody")
