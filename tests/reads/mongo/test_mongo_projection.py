"""Editions become visible by one update, and go when nobody reads them any more."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aws_local.guard import Guard

from tests.support.mongodb import MongoServer, server_goes_away
from tests.support.projecting import (
    brand_row,
    edition,
    edition_asset,
    key_of,
    project,
    whole,
)
from triptych.errors import ReadsUnavailable
from triptych.reads.edition import Edition, EditionAsset
from triptych.reads.mongo import documents, mongo_projection
from triptych.reads.mongo.connection import READ_S, WRITE_S, MongoConnection
from triptych.reads.mongo.mongo_projection import MongoProjection
from triptych.reads.mongo.mongo_reads import mongo_read_stores
from triptych.reads.mongo.visible_editions import VisibleEditions
from triptych.reads.read_stores import NotProjected
from triptych.snapshots.facets import FacetsWanted
from triptych.snapshots.snapshot_store import AssetFilter
from triptych.workers.projector import GRACE_S, LEASE_S

pytestmark = pytest.mark.integration


@pytest.fixture
async def projection(mongodb: MongoConnection) -> MongoProjection:
    made = MongoProjection(mongodb)
    await made.open("unicode")
    return made


def assets_of(shown: Edition, count: int, **given: Any) -> list[EditionAsset]:
    return sorted(
        (edition_asset(shown, n, **given) for n in range(count)), key=lambda each: each.asset.key
    )


async def urls(connection: MongoConnection, shown: Edition) -> set[str]:
    reads = mongo_read_stores(connection).snapshots
    found = await reads.assets_slice(shown.run, AssetFilter(), after=b"", limit=500)
    return {asset.url for asset in found.rows}


async def counts(connection: MongoConnection) -> dict[str, int]:
    names = ("brands", "assets", "parts", "editions")
    return {name: await connection.collection(name).count_documents({}) for name in names}


async def test_an_edition_is_read_from_when_it_is_shown(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    new = edition()
    await projection.write("nike", new, assets_of(new, 5))
    await projection.complete("nike", new, whole(5, run=new.run, points=5))
    with pytest.raises(NotProjected):
        await urls(mongodb, new)
    assert await projection.shown() == {}
    of = whole(5, run=new.run, points=5)
    assert await projection.show("nike", new, of, brand_row("nike", new))
    assert await urls(mongodb, new) == {f"https://x/{n}" for n in range(5)}
    assert await projection.shown() == {"nike": new}
    reads = mongo_read_stores(mongodb)
    assert await reads.snapshots.insights(new.run) == of.insights
    assert len((await reads.maps.points(new.run, limit=9)).keys) == 5
    assert await reads.maps.mapped_at(new.run) is None


async def test_writing_again_changes_nothing(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    new = edition()
    some = assets_of(new, 7, metadata={"n": 1})
    for _ in range(2):
        await projection.write("nike", new, some[:5])
        await projection.write("nike", new, some[3:])
        await projection.complete("nike", new, whole(7))
    shown = [await projection.show("nike", new, whole(7), brand_row("nike", new)) for _ in range(2)]
    assert shown == [True, False]
    assert len(await urls(mongodb, new)) == 7
    assert (await counts(mongodb))["assets"] == 7


async def test_what_is_written_again_is_replaced(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    new = edition()
    await projection.write("nike", new, assets_of(new, 2, metadata={"n": 1}))
    assert await project(projection, "nike", new, assets_of(new, 2, metadata={"n": 2}))
    found = await mongo_read_stores(mongodb).snapshots.assets_slice(
        new.run, AssetFilter(), after=b"", limit=5
    )
    assert [asset.metadata for asset in found.rows] == [{"n": 2}] * 2


async def test_an_older_edition_never_replaces_a_later_one(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    old, marked = edition(10), edition(20, 0)
    later = Edition(20, 30, marked.run)
    assert await project(projection, "nike", marked, assets_of(marked, 2))
    assert await project(projection, "nike", later, assets_of(later, 3))
    for each in (old, marked, later):
        await projection.write("nike", each, assets_of(each, 3))
        assert not await projection.show("nike", each, whole(3), brand_row("nike", each))
    assert await projection.shown() == {"nike": later}
    assert len(await urls(mongodb, later)) == 3
    at = await mongo_read_stores(mongodb).maps.mapped_at(later.run)
    assert at is not None
    assert (at.second, at.microsecond) == (0, 30)


async def test_of_many_that_show_at_once_the_latest_stays(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    all_of_them = [edition(n) for n in range(1, 7)]
    for each in all_of_them:
        await projection.write("nike", each, assets_of(each, 1))
    shown = await asyncio.gather(
        *(projection.show("nike", each, whole(1), brand_row("nike", each)) for each in all_of_them)
    )
    assert shown[-1]
    assert await projection.shown() == {"nike": all_of_them[-1]}
    document = await mongodb.collection("brands").find_one({"_id": "nike"})
    assert document is not None
    assert len(document["previous"]) == sum(shown) - 1


async def test_an_edition_that_is_not_whole_is_not_shown(projection: MongoProjection) -> None:
    new = edition()
    await projection.write("nike", new, assets_of(new, 4))
    assert not await projection.show("nike", new, whole(5), brand_row("nike", new))
    unknown = edition()
    assert not await projection.show("nike", unknown, whole(0), brand_row("nike", unknown))
    assert await projection.shown() == {}


async def test_older_editions_go_after_the_grace(
    projection: MongoProjection, mongodb: MongoConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_projection, "DELETE_AT_ONCE", 2)
    monkeypatch.setattr(mongo_projection, "DELETES_AT_ONCE", 3)
    begun, old, new, next_one = edition(1), edition(2), edition(3), edition(4)
    await projection.write("nike", begun, assets_of(begun, 1))
    await project(projection, "nike", old, assets_of(old, 10))
    before = await VisibleEditions(mongodb).of_run(old.run)
    await project(projection, "nike", new, assets_of(new, 3))
    await projection.write("nike", next_one, assets_of(next_one, 1))
    keep = [new]
    assert await projection.drop_older("nike", keep=keep, grace_s=600)
    assert (await counts(mongodb))["assets"] == 10 + 3 + 1, "the one that was given up is gone"
    await VisibleEditions(mongodb).still([before])
    assert await projection.drop_older("nike", keep=keep, grace_s=0)
    assert 3 + 1 < (await counts(mongodb))["assets"] < 10 + 3 + 1, "some of it is left"
    with pytest.raises(NotProjected):
        await VisibleEditions(mongodb).still([before])
    assert not await projection.drop_older("nike", keep=keep, grace_s=0)
    assert await counts(mongodb) == {"brands": 1, "assets": 3 + 1, "parts": 1, "editions": 2}
    assert len(await urls(mongodb, new)) == 3


async def test_a_forgotten_brand_is_hidden_at_once_and_nothing_stays(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    new, other = edition(), edition()
    await project(projection, "nike", new, assets_of(new, 4))
    await project(projection, "puma", other, assets_of(other, 2, brand="puma"))
    reading = await VisibleEditions(mongodb).of_run(new.run)
    for _ in range(2):
        await projection.forget("nike")
    assert await projection.shown() == {"puma": other}
    assert await counts(mongodb) == {"brands": 1, "assets": 2, "parts": 1, "editions": 1}
    # Who read it meanwhile learns that it may have lost something.
    with pytest.raises(NotProjected):
        await VisibleEditions(mongodb).still([reading])
    assert await project(projection, "nike", new, assets_of(new, 4))
    with pytest.raises(NotProjected):
        await VisibleEditions(mongodb).still([reading])


async def test_what_is_being_deleted_is_neither_written_nor_shown(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    new = edition()
    await project(projection, "puma", edition(), [])
    await projection.write("nike", new, assets_of(new, 2))
    await mongodb.collection("editions").update_many({"brand": "nike"}, {"$set": {"doomed": True}})
    assert not await projection.show("nike", new, whole(2), brand_row("nike", new))
    with pytest.raises(ReadsUnavailable, match="is being deleted"):
        await projection.write("nike", new, assets_of(new, 2))
    assert await project(projection, "nike", new, assets_of(new, 2)), "the deletion was finished"


async def test_brands_are_shown_as_of_their_latest_version(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    shown = {name: edition() for name in ("a", "b", "c")}
    reads = mongo_read_stores(mongodb).brands
    with pytest.raises(NotProjected):
        await reads.brands_slice(after="", name=None, state=None, limit=5)
    versions = [5, 4, 6, 6]
    for version in versions:
        rows = [brand_row(name, each, version=version) for name, each in shown.items()]
        await projection.put_brands(rows)
    found = await reads.brands_slice(after="", name=None, state=None, limit=5)
    assert [(brand.name, brand.version) for brand in found.rows] == [(n, 6) for n in "abc"]
    assert await projection.shown() == {}
    # An edition that is shown with an older row leaves the newer one.
    assert await project(projection, "a", shown["a"], [], version=2)
    assert (await reads.scheduled("a")).version == 6


async def test_new_brands_of_two_processes_keep_the_later_version(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    new = edition()
    await asyncio.gather(
        *(projection.put_brands([brand_row("a", new, version=n)]) for n in range(1, 9))
    )
    document = await mongodb.collection("brands").find_one({"_id": "a"})
    assert document is not None
    assert document["version"] == 8


async def test_the_id_is_another_one_after_the_database_was_emptied(
    projection: MongoProjection, mongodb: MongoConnection
) -> None:
    first = await projection.open("unicode")
    assert await MongoProjection(mongodb).open("unicode") == first
    assert len({*await asyncio.gather(*(projection.open("unicode") for _ in range(4))), first}) == 1
    second = await projection.open("ascii")
    assert second != first, "texts are in lower case by another rule"
    assert await projection.open("ascii") == second
    await mongodb.database.client.drop_database(mongodb.database.name)
    assert await projection.open("ascii") not in {first, second}
    assert "edition_1_key_1" in await mongodb.collection("assets").index_information()


async def test_large_metadata_insights_and_maps_are_in_parts(
    projection: MongoProjection, mongodb: MongoConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "PART_BYTES", 60)
    new = edition()
    odd = {"a.b": [{"$x": "é", "": 2**64}] * 3}
    assets = [
        edition_asset(new, n, metadata=odd if n % 2 else {"n": n}, marks={"own": odd, "x": 0.5})
        for n in range(6)
    ]
    of = whole(6, run=new.run, points=9)
    assert await project(projection, "nike", new, assets, of=of)
    assert (await counts(mongodb))["parts"] > 10
    reads = mongo_read_stores(mongodb)
    found = await reads.snapshots.assets_slice(new.run, AssetFilter(), after=b"", limit=9)
    expected = sorted((each.asset for each in assets), key=lambda each: each.key)
    assert list(map(repr, found.rows)) == list(map(repr, expected))
    marks = await reads.snapshots.marks(new.run, [key_of(3)])
    assert marks == {key_of(3): {"own": odd, "x": 0.5}}
    assert (await reads.maps.points(new.run, limit=9)).names == ["a", "b"]
    # A part that is lost is noticed.
    await mongodb.collection("parts").delete_many({})
    for ask in (
        reads.snapshots.assets_slice(new.run, AssetFilter(), after=b"", limit=9),
        reads.snapshots.insights(new.run),
        reads.maps.points(new.run, limit=9),
    ):
        with pytest.raises(NotProjected):
            await ask


async def test_many_assets_are_counted_and_paged_through_bounded_ranges(
    projection: MongoProjection, mongodb: MongoConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_projection, "COUNT_AT_ONCE", 100)
    new = edition()
    count = 600
    assert await project(projection, "nike", new, assets_of(new, count))
    reads = mongo_read_stores(mongodb).snapshots
    keys: list[bytes] = []
    after: bytes | None = b""
    while after is not None:
        page = await reads.assets_slice(new.run, AssetFilter(), after=after, limit=100)
        keys += [asset.key for asset in page.rows]
        after = page.next
    assert keys == sorted(key_of(n) for n in range(count))
    facets = mongo_read_stores(mongodb).facets
    asked = FacetsWanted(["shape"], AssetFilter(), 5, 30.0)
    found = await facets.facets(new.run, asked, scan=400)
    assert (found.assets, found.looked_at, found.of) == (400, 400, count)


async def test_keys_that_are_not_evenly_spread_are_paged_all_the_same(
    projection: MongoProjection, mongodb: MongoConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.reads.mongo.mongo_snapshots.ASSETS_SCAN", 3)
    new = edition()
    some = []
    for n in range(60):
        given = edition_asset(new, n)
        key = (n * n * n).to_bytes(16, "big") if n < 55 else bytes([n]) * 16
        asset = msgspec.structs.replace(given.asset, key=key)
        some.append(EditionAsset(asset, {}, None, given.searched))
    assert await project(projection, "nike", new, some)
    reads = mongo_read_stores(mongodb).snapshots
    for matching, limit in ((AssetFilter(), 4), (AssetFilter(text="x/1"), 2)):
        keys: list[bytes] = []
        after: bytes | None = b""
        while after is not None:
            page = await reads.assets_slice(new.run, matching, after=after, limit=limit)
            keys += [asset.key for asset in page.rows]
            after = page.next
        wanted = [
            each.asset.key for each in some if matching == AssetFilter() or "x/1" in each.asset.url
        ]
        assert keys == wanted


@pytest.mark.parametrize("dropped", [False, True], ids=["forgotten", "dropped"])
@pytest.mark.parametrize("read", ["page", "filtered", "asset", "marks", "facets", "anywhere"])
async def test_who_reads_while_an_edition_is_deleted_learns_of_it(
    projection: MongoProjection,
    mongodb: MongoConnection,
    monkeypatch: pytest.MonkeyPatch,
    read: str,
    dropped: bool,
) -> None:
    """The edition goes between the question which one is read, and the reading."""
    new, later = edition(1), edition(2)
    await project(projection, "nike", new, assets_of(new, 9, marks={"x": 0.5}))
    reads = mongo_read_stores(mongodb)
    asked = FacetsWanted(["shape"], AssetFilter(), 5, 30.0)
    asks: dict[str, Callable[[], Awaitable[object]]] = {
        "page": lambda: reads.snapshots.assets_slice(new.run, AssetFilter(), after=b"", limit=5),
        "filtered": lambda: reads.snapshots.assets_slice(
            new.run, AssetFilter(shape="landscape"), after=b"", limit=5
        ),
        "asset": lambda: reads.snapshots.asset_and_marks("nike", key_of(3)),
        "marks": lambda: reads.snapshots.marks(new.run, [key_of(3)]),
        "facets": lambda: reads.facets.facets(new.run, asked),
        "anywhere": lambda: reads.facets.facets_anywhere(asked),
    }
    await asks[read]()

    async def delete() -> None:
        monkeypatch.undo()
        if dropped:
            await project(projection, "nike", later, assets_of(later, 2))
            assert not await projection.drop_older("nike", keep=[later], grace_s=0)
        else:
            await projection.forget("nike")

    for name in ("_one", "all"):
        monkeypatch.setattr(VisibleEditions, name, followed_by(delete, name))
    with pytest.raises(NotProjected):
        await asks[read]()


def followed_by(work: Callable[[], Awaitable[None]], name: str) -> Any:
    known = getattr(VisibleEditions, name)

    async def looked_up(self: VisibleEditions, *args: Any) -> Any:
        found = await known(self, *args)
        await work()
        return found

    return looked_up


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[MongoServer]:
    with Guard() as guard, MongoServer(tmp_path / "mongodb", guard=guard) as server:
        yield server


@server_goes_away
async def test_what_was_acknowledged_survives_kill_9(own_server: MongoServer) -> None:
    connection = MongoConnection(f"{own_server.url}/triptych")
    projection = MongoProjection(connection)
    target = await projection.open("unicode")
    new = edition()
    assert await project(projection, "nike", new, assets_of(new, 300))
    own_server.kill()
    with pytest.raises(ReadsUnavailable, match="does not answer"):
        await urls(connection, new)
    with pytest.raises(ReadsUnavailable):
        await projection.write("nike", new, assets_of(new, 1))
    with pytest.raises(ReadsUnavailable):
        await connection.check()
    own_server.start()
    assert await projection.open("unicode") == target
    assert len(await urls(connection, new)) == 300
    assert await projection.shown() == {"nike": new}
    await connection.close()


def test_deadlines_fit_together() -> None:
    assert READ_S < GRACE_S
    assert WRITE_S < LEASE_S
