"""What is to be projected follows from the rows, and one worker at a time projects a brand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.api_server import commit, pictures, settings_for
from tests.support.contracts.search_contract import mark
from tests.support.waiting import until
from triptych.database.session import Database
from triptych.errors import BrandNotFound
from triptych.model import Run
from triptych.reads.edition import Edition
from triptych.reads.projection_store import Claim, ProjectionStore
from triptych.snapshots.brand_map import decode_map
from triptych.wiring.services import connect
from triptych.wiring.stores import Stores

pytestmark = pytest.mark.integration

TARGET = uuid4()


@pytest.fixture
async def stores(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Stores]:
    async with connect(settings_for(migrated_dsn, tmp_path), migrated_dsn) as services:
        yield services.stores


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    opened = Database(migrated_dsn)
    yield opened
    await opened.close()


async def claimed(
    stores: Stores, *, lease_s: float = 60.0, grace_s: float = 3600.0
) -> Claim | None:
    await stores.projections.want(TARGET)
    return await stores.projections.claim(TARGET, holder=uuid4(), lease_s=lease_s, grace_s=grace_s)


async def edition_of(stores: Stores) -> tuple[Claim, Edition]:
    claim = await claimed(stores)
    assert claim is not None
    assert claim.edition is not None
    return claim, claim.edition


async def committed(stores: Stores, brand: str = "nike", count: int = 5) -> Run:
    return await commit(stores, brand, pictures(count, salt=str(uuid4())))


async def pages(
    store: ProjectionStore, brand: str, edition: Edition
) -> list[tuple[bytes, dict[str, object]]]:
    found, after = [], b""
    while page := await store.page(brand, edition, after=after, limit=2):
        found += [(each.asset.key, dict(each.marks)) for each in page]
        after = page[-1].asset.key
    return found


async def test_a_commit_and_what_the_ai_phase_publishes_are_editions(stores: Stores) -> None:
    run = await committed(stores)
    assert await stores.projections.behind(TARGET) != {}
    claim, first = await edition_of(stores)
    assert (claim.brand, claim.behind, first.run, first.ai) == ("nike", True, run.id, 0)
    found = await pages(stores.projections, "nike", first)
    assert [key for key, _ in found] == [
        each.key for each in await stores.snapshots.assets(run.id, after=None, limit=10)
    ]
    (page, *_) = [await stores.projections.page("nike", first, after=b"", limit=1)]
    assert page is not None
    assert page[0].searched == [page[0].asset.url, '{"alt": "about ' + page[0].asset.url + '"}']
    whole = await stores.projections.whole("nike", first)
    assert whole is not None
    assert (whole.assets, whole.insights, whole.map) == (5, [], None)
    await stores.projections.shown(claim)
    assert await stores.projections.behind(TARGET) == {}
    assert await claimed(stores) is None

    await mark(stores, run, ["https://x.example/1"], cluster=["c1"], x=[0.5], y=[0.25])
    assert list(await stores.projections.behind(TARGET)) == ["nike"]
    assert await stores.projections.page("nike", first, after=b"", limit=1) is None
    assert await stores.projections.whole("nike", first) is None
    _, second = await edition_of(stores)
    assert second > first
    assert second.run == run.id
    marks = [each for _, each in await pages(stores.projections, "nike", second) if each]
    assert marks == [{"cluster": "c1", "x": 0.5, "y": 0.25}]
    whole = await stores.projections.whole("nike", second)
    assert whole is not None
    assert whole.map is not None
    assert len(decode_map(whole.map).points.keys) == 1


async def test_a_brand_is_claimed_by_one_at_a_time(stores: Stores) -> None:
    for brand in ("nike", "adidas", "puma"):
        await committed(stores, brand)
    await stores.projections.want(TARGET)
    claims = await asyncio.gather(*(claimed(stores) for _ in range(8)))
    while len(held := [claim.brand for claim in claims if claim]) < 3:
        claims.append(await claimed(stores))
        assert len(claims) < 30
    assert sorted(held) == ["adidas", "nike", "puma"]
    assert await claimed(stores) is None


async def test_a_claim_ends_with_its_lease_and_what_was_written_counts(stores: Stores) -> None:
    await committed(stores)
    lost = await claimed(stores, lease_s=0.3)
    assert lost is not None
    assert await stores.projections.advance(lost, after=b"k", written=3, lease_s=0.3)
    claim = await until(lambda: claimed(stores), lambda found: found is not None)
    assert claim is not None
    assert (claim.after, claim.written) == (b"k", 3)
    assert not await stores.projections.advance(lost, after=b"l", written=4, lease_s=60.0)
    await stores.projections.shown(lost)
    await stores.projections.release(lost)
    assert list(await stores.projections.behind(TARGET)) == ["nike"]
    assert await claimed(stores) is None, "another one has it"
    await stores.projections.release(claim)
    again = await claimed(stores)
    assert again is not None
    await committed(stores)
    await stores.projections.want(TARGET)
    assert not await stores.projections.advance(again, after=b"l", written=4, lease_s=60.0)


async def test_earlier_editions_are_dropped_after_the_grace(stores: Stores) -> None:
    await committed(stores)
    claim, edition = await edition_of(stores)
    await stores.projections.shown(claim)
    assert await claimed(stores, grace_s=3600.0) is None
    later = await claimed(stores, grace_s=0.0)
    assert later is not None
    assert (later.behind, later.edition) == (False, edition)
    await stores.projections.dropped(later)
    assert await claimed(stores, grace_s=0.0) is None


async def test_a_brand_that_is_gone_is_forgotten(stores: Stores) -> None:
    await committed(stores)
    claim, _ = await edition_of(stores)
    await stores.projections.shown(claim)
    await stores.brands.begin_deletion("nike")
    assert await stores.projections.behind(TARGET) == {"nike": None}
    while not await stores.retention.delete_brand("nike", limit=100):
        pass
    assert await stores.projections.behind(TARGET) == {"nike": None}
    gone = await claimed(stores)
    assert gone is not None
    assert gone.edition is None
    await stores.projections.forgotten(gone)
    assert await stores.projections.behind(TARGET) == {}
    assert await stores.projections.states(TARGET, after="", limit=10) == []
    run = await committed(stores)
    _, edition = await edition_of(stores)
    assert edition.run == run.id


async def test_a_database_with_another_id_has_nothing(stores: Stores) -> None:
    await committed(stores)
    claim, _ = await edition_of(stores)
    await stores.projections.shown(claim)
    other = uuid4()
    assert list(await stores.projections.behind(other)) == ["nike"]
    await stores.projections.want(other)
    assert await stores.projections.claim(other, holder=uuid4(), lease_s=60, grace_s=60)
    assert await stores.projections.behind(TARGET) == {}


async def test_a_rebuild_writes_all_from_the_beginning(stores: Stores) -> None:
    for brand in ("nike", "adidas"):
        await committed(stores, brand)
        claim, _ = await edition_of(stores)
        await stores.projections.advance(claim, after=b"k", written=5, lease_s=60.0)
        await stores.projections.shown(claim)
    assert await stores.projections.rebuild(TARGET, "nike") == 1
    assert list(await stores.projections.behind(TARGET)) == ["nike"]
    claim, edition = await edition_of(stores)
    assert (claim.brand, claim.after, claim.written) == ("nike", b"", 0)
    await stores.projections.shown(claim)
    assert await stores.projections.rebuild(TARGET, None) == 2
    assert await stores.projections.recorded(TARGET) == {}
    with pytest.raises(BrandNotFound):
        await stores.projections.rebuild(TARGET, "puma")
    assert edition.committed > 0


async def test_states_say_how_far_each_brand_is(stores: Stores) -> None:
    run = await committed(stores, "nike")
    await committed(stores, "adidas", 3)
    while True:
        claim, edition = await edition_of(stores)
        if claim.brand == "nike":
            break
        await stores.projections.release(claim)
    await stores.projections.advance(claim, after=b"k", written=2, lease_s=60.0)
    adidas, nike = await stores.projections.states(TARGET, after="", limit=10)
    assert (nike.brand, nike.written, nike.assets, nike.wanted_run) == ("nike", 2, 5, run.id)
    assert nike.shown_run is None
    assert nike.behind_s > 0
    assert (adidas.brand, adidas.assets) == ("adidas", 3)
    await stores.projections.shown(claim)
    (nike,) = await stores.projections.states(TARGET, after="adidas", limit=10)
    assert (nike.shown_run, nike.behind_s) == (run.id, 0.0)
    assert await stores.projections.recorded(TARGET) == {"nike": edition}
    await stores.projections.mistaken(TARGET, ["nike"])
    assert await stores.projections.recorded(TARGET) == {}


async def test_brands_that_have_changed_are_shown_again(stores: Stores) -> None:
    store = stores.projections
    run = await committed(stores)
    await stores.brands.put_brand("Été", source=None, schedule=None, due_at=None)
    start = await store.now()
    rows = await store.changed_brands(TARGET, since=None, limit=10)
    assert [row.shown.name for row in rows] == ["nike", "Été"]
    assert rows[0].shown == await stores.brands.scheduled("nike")
    assert [each.id for each in rows[0].snapshots] == [run.id]
    assert [row.more for row in rows] == [False, False]
    assert rows[1].searched == ("été" if await store.lowers() == "unicode" else "Été")
    await store.note_brands(TARGET, rows)
    assert await store.changed_brands(TARGET, since=None, limit=10) == []
    newer = await committed(stores)
    assert await stores.retention.collect_snapshots(keep=1, min_age_s=0) == 1
    (row,) = await store.changed_brands(TARGET, since=start, limit=10)
    assert [each.id for each in row.snapshots] == [newer.id]
    await store.note_brands(TARGET, [row])
    assert await stores.retention.collect_snapshots(keep=1, min_age_s=0) == 0
    assert await store.changed_brands(TARGET, since=start, limit=10) == []


async def test_a_snapshot_that_is_collected_changes_its_brand(stores: Stores) -> None:
    await committed(stores)
    await committed(stores)
    await stores.projections.note_brands(
        TARGET, await stores.projections.changed_brands(TARGET, since=None, limit=10)
    )
    await stores.retention.collect_snapshots(keep=1, min_age_s=0)
    (row,) = await stores.projections.changed_brands(TARGET, since=None, limit=10)
    assert len(row.snapshots) == 1


async def test_a_brand_that_was_deleted_and_made_again_is_not_read(stores: Stores) -> None:
    await committed(stores)
    claim, _ = await edition_of(stores)
    await stores.projections.shown(claim)
    await stores.brands.begin_deletion("nike")
    while not await stores.retention.delete_brand("nike", limit=100):
        pass
    await committed(stores)
    assert await stores.projections.behind(TARGET) == {"nike": None}


async def test_a_rebuild_is_behind_from_its_own_beginning(
    stores: Stores, database: Database
) -> None:
    await committed(stores)
    await database.fetch("update runs set ended_at = now() - interval '1 day'")
    claim, _ = await edition_of(stores)
    await stores.projections.shown(claim)
    await stores.projections.rebuild(TARGET, None)
    seconds = (await stores.projections.behind(TARGET))["nike"]
    assert seconds is not None
    assert seconds < 3600
    (state,) = await stores.projections.states(TARGET, after="", limit=1)
    assert state.behind_s < 3600
    assert await stores.projections.last_target() == TARGET


async def test_a_brand_that_nobody_follows_is_behind(stores: Stores, database: Database) -> None:
    store = stores.projections
    await stores.brands.put_brand("nike", source=None, schedule=None, due_at=None)
    assert await store.take_turn("projector", every_s=0)
    await store.note_brands(TARGET, await store.changed_brands(TARGET, since=None, limit=10))
    assert await store.behind(TARGET) == {}
    await stores.brands.put_brand("nike", source=None, schedule="0 4 * * *", due_at=None)
    assert await store.behind(TARGET) == {}, "it is followed within a second"
    await database.fetch("alter table brands disable trigger brand_changed")
    await database.fetch("update brands set changed_at = now() - interval '10 minutes'")
    await database.fetch("update turns set at = now() - interval '1 hour'")
    await database.fetch("update projections set shown_version = 1")
    seconds = (await store.behind(TARGET))["nike"]
    assert seconds is not None
    assert 599 < seconds < 3600
    await store.note_brands(TARGET, await store.changed_brands(TARGET, since=None, limit=10))
    assert await store.behind(TARGET) == {}
