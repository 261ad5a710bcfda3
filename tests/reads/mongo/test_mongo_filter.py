"""Every filter, page by page: MongoDB returns what Postgres does, and goes on where it does."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from tests.support.contracts.facets_contract import Picture, commit_pictures
from tests.support.contracts.search_contract import mark
from tests.support.projecting import Projected
from triptych.database.session import Database
from triptych.errors import AssetNotFound
from triptych.model import Age, Run, RunState
from triptych.reads.mongo.connection import MongoConnection
from triptych.reads.mongo.mongo_filter import FARTHEST_512THS, lowered, most_512ths
from triptych.reads.read_stores import NotProjected, ReadStores
from triptych.snapshots.facets import FacetsWanted
from triptych.snapshots.snapshot_store import AssetFilter, ColumnFilter, NearColour
from triptych.wiring.stores import postgres_stores

SCAN = 25
"""Instead of `ASSETS_SCAN`, so that most slices end before the snapshot does."""

ODD: list[Any] = [
    *(1e300, -0.0, 0.1, 2**53, 2**64 - 1, "x" * 201, " ", "1e999", "2026-02-30", None, "", "$x"),
    *([[1], {"a": 1}, "in", True], "%_\\", "\u202e", "É", "İSTANBUL", "(y)", ["a", "b", "a"], 12),
    *("2026-01-03", "2026-01-04T10:00:00Z", ["7", 8, "2025-05-05"], {"$gt": ""}, "\U0001f600"),
]
PICTURES = [
    Picture(
        {"a.b": ODD[n % len(ODD)], "$c": ODD[(n * 7) % len(ODD)], "": n % 5, "price": n / 4},
        None if n % 11 == 0 else 100 * (n % 17) + 1,
        None if n % 11 == 0 else 90 * (n % 13) + 1,
        rgb=(n * 0x030507) % 0x1000000,
        media_type=("image/png", "image/jpeg", "image.png", "video/mp4", "image0")[n % 5],
    )
    for n in range(80)
]
EDGE = math.sqrt((2 + (5 + 3) / 512) * 2**2 + 4 * 2**2 + (2 + (510 - 8) / 512) * 1**2)
"""Exactly the distance of 0x030507 from 0x050706."""


def column(name: str, **given: Any) -> AssetFilter:
    return AssetFilter(columns=(ColumnFilter(name, **given),))


FILTERS = [
    AssetFilter(),
    AssetFilter(media_type="image/png"),
    AssetFilter(media_type="image/*"),
    AssetFilter(media_type="*/*"),
    AssetFilter(text=""),
    AssetFilter(text="X/3"),
    AssetFilter(text="$X"),
    AssetFilter(text='"price": 1'),
    AssetFilter(text="é"),
    AssetFilter(text="İstanbul"),
    AssetFilter(text="(Y)"),
    AssetFilter(text="\\"),
    AssetFilter(text="\U0001f600"),
    AssetFilter(colour=NearColour(0x030507, 0)),
    AssetFilter(colour=NearColour(0x050706, EDGE)),
    AssetFilter(colour=NearColour(0x050706, math.nextafter(EDGE, 0))),
    AssetFilter(colour=NearColour(0x804020, 100.5)),
    AssetFilter(colour=NearColour(0xFFFFFF, 765)),
    AssetFilter(colour=NearColour(0x000000, 1e300)),
    AssetFilter(colour_name="white"),
    AssetFilter(colour_name="teal"),
    AssetFilter(shape="tall"),
    AssetFilter(size="large", shape="landscape"),
    AssetFilter(first_seen="20"),
    AssetFilter(first_seen="1999-12"),
    *(column("a.b", values=(value,)) for value in ("0.1", "$x", "true", "É", "9007199254740992")),
    column("a.b", values=("in", "a", "1e999")),
    column("a.b", values=("a", "no such")),
    column("$c", values=("%_\\",)),
    column("", values=("3",)),
    column("none", values=("x",)),
    column("price", numbers=(1.0, 3.25)),
    column("a.b", numbers=(-1.0, 8.5)),
    column("a.b", day="2026"),
    column("a.b", day="2026-01-04"),
    column("$c", day="2025-05"),
    AssetFilter(
        text="x", columns=(ColumnFilter("", ("1",)), ColumnFilter("price", numbers=(0, 15)))
    ),
    AssetFilter(tag="shoe"),
    AssetFilter(tag="$tag"),
    AssetFilter(cluster="a"),
    AssetFilter(duplicates="d"),
    AssetFilter(duplicated=True),
    AssetFilter(duplicated=False, media_type="image/*"),
    AssetFilter(look="logo"),
    *(AssetFilter(outlier=share) for share in (0.0, 0.1, 0.3, 0.7, 1.0)),
]


@pytest.fixture
async def projected(migrated_dsn: str, mongodb: MongoConnection) -> AsyncIterator[Projected]:
    database = Database(migrated_dsn)
    yield Projected(postgres_stores(database, run_cap_s=3600), mongodb)
    await database.close()


@dataclass(frozen=True)
class Committed:
    """Two databases that have the same brand."""

    projected: Projected
    run: Run


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def committed(shared_dsn: str, shared_mongodb_url: str) -> AsyncIterator[Committed]:
    """What the tests that only read have in common."""
    database, connection = Database(shared_dsn), MongoConnection(shared_mongodb_url)
    projected = Projected(postgres_stores(database, run_cap_s=3600), connection)
    yield Committed(projected, await commit_marked(projected))
    await connection.close()
    await database.close()


async def commit_marked(projected: Projected) -> Run:
    stores = projected.stores
    run = await commit_pictures(stores, "nike", PICTURES)
    count = 40
    await mark(
        stores,
        run,
        [f"https://x/{n}" for n in range(count)],
        tags=[["shoe", "$tag"] if n % 3 else None for n in range(count)],
        cluster=["ab"[n % 2] for n in range(count)],
        duplicates=["d" if n % 5 == 0 else None for n in range(count)],
        look=["logo" if n % 7 == 0 else None for n in range(count)],
        outlier=[n % 10 / 10 for n in range(count)],
        x=[n / 3 for n in range(count)],
        y=[-n / 7 for n in range(count)],
        own=[{"a.b": n, "$c": [n]} if n % 2 else None for n in range(count)],
    )
    await projected.catch_up()
    return run


@pytest.mark.asyncio(loop_scope="module")
async def test_every_filter_pages_as_on_postgres(
    committed: Committed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.snapshots.postgres.postgres_snapshots.ASSETS_SCAN", SCAN)
    monkeypatch.setattr("triptych.reads.mongo.mongo_snapshots.ASSETS_SCAN", SCAN)
    run, snapshots = committed.run, committed.projected.as_stores().snapshots
    some = 0
    for matching in FILTERS:
        after, seen = b"", 0
        for _ in range(len(PICTURES)):
            found = await snapshots.assets_slice(run.id, matching, after=after, limit=6)
            seen += len(found.rows)
            if found.next is None:
                break
            after = found.next
        else:
            raise AssertionError(f"no end: {matching}")
        some += seen > 0
    assert some > len(FILTERS) - 10, "most filters find something"


@pytest.mark.parametrize("after", [b"\x80", b"\xff" * 16, b"\x7f" * 20], ids=len)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_begins_after_any_bytes(committed: Committed, after: bytes) -> None:
    snapshots = committed.projected.as_stores().snapshots
    await snapshots.assets_slice(committed.run.id, AssetFilter(), after=after, limit=10)


@pytest.mark.asyncio(loop_scope="module")
async def test_each_asset_has_its_marks(committed: Committed) -> None:
    run, projected = committed.run, committed.projected
    stores, reads = projected.stores.snapshots, projected.reads.snapshots
    keys = [asset.key for asset in await stores.assets(run.id, after=None, limit=100)]
    assert await reads.marks(run.id, keys) == await stores.marks(run.id, keys)
    for key in keys:
        expected = await stores.asset_and_marks("nike", key)
        for run_id in (None, run.id):
            found = await reads.asset_and_marks("nike", key, run_id=run_id)
            assert repr(found[0]) == repr(expected[0])
            assert found == expected
    with pytest.raises(AssetNotFound):
        await reads.asset_and_marks("nike", b"?" * 16)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_rest_of_a_snapshot_is_that_of_postgres(committed: Committed) -> None:
    run, projected = committed.run, committed.projected
    stores, reads = projected.stores, projected.reads
    assert await reads.snapshots.insights(run.id) == await stores.snapshots.insights(run.id)
    assert await reads.brands.snapshot_of("nike") == run.id
    assert await reads.brands.scheduled("nike") == await stores.brands.scheduled("nike")
    assert await reads.runs.runs_of([run.id]) == await stores.runs.runs_of([run.id])
    assert await reads.maps.mapped_at(run.id) == await stores.search.mapped_at(run.id)
    for limit in (100, 40, 7, 1):
        found = await reads.maps.points(run.id, limit=limit)
        expected = await stores.search.points(run.id, limit=limit)
        assert list(found.names) == list(expected.names)
        for name in ("keys", "x", "y", "clusters"):
            assert getattr(found, name).tolist() == getattr(expected, name).tolist()


async def test_snapshots_and_brands_page_as_on_postgres(
    projected: Projected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.runs.postgres.postgres_brands.BRANDS_SCAN", 3)
    monkeypatch.setattr("triptych.reads.mongo.mongo_reads.BRANDS_SCAN", 3)
    names = ["Zara", "adidas", "nike", "é", "İ", "$x", "a.b", "a b", "\U0001f600"]
    for brand in names:
        await commit_pictures(projected.stores, brand, PICTURES[:1])
    for count in (2, 3):
        await commit_pictures(projected.stores, "nike", PICTURES[:count])
    await projected.catch_up()
    stores, reads = projected.stores, projected.reads
    asked: list[tuple[str | None, frozenset[str] | None]] = [
        *((name, None) for name in (None, "", "A", "É", "$X", "x.", "İ")),
        *((name, frozenset({"nike", "a b", "gone", "é"})) for name in (None, "a")),
        (None, frozenset()),
    ]
    wanted: dict[str, Any]
    for name, among in asked:
        for state in (None, *RunState):
            after: str | None = ""
            while after is not None:
                wanted = {"after": after, "name": name, "state": state, "limit": 2, "among": among}
                found = await reads.brands.brands_slice(**wanted)
                assert found == await stores.brands.brands_slice(**wanted), wanted
                after = found.next
    before: Age | None = None
    for _ in range(3):
        page = await reads.snapshots.snapshots_slice("nike", before=before, limit=1)
        assert page == await stores.snapshots.snapshots_slice("nike", before=before, limit=1)
        before = page.next
    assert before is None


async def test_what_is_not_the_visible_edition_is_not_projected(projected: Projected) -> None:
    old = await commit_pictures(projected.stores, "nike", PICTURES[:3])
    await projected.catch_up()
    new = await commit_pictures(projected.stores, "nike", PICTURES[:4])
    reads = projected.reads
    await assert_not_projected(reads, new.id)
    await projected.catch_up()
    await assert_not_projected(reads, old.id)


async def assert_not_projected(reads: ReadStores, run_id: UUID) -> None:
    snapshots = reads.snapshots
    for ask in (
        snapshots.assets_slice(run_id, AssetFilter(), after=b"", limit=5),
        snapshots.asset_and_marks("nike", b"?" * 16, run_id=run_id),
        snapshots.insights(run_id),
        snapshots.marks(run_id, [b"?" * 16]),
        snapshots.snapshots_slice("other", before=None, limit=5),
        reads.facets.facets(run_id, FacetsWanted([], AssetFilter(), 5, 30.0)),
        reads.maps.mapped_at(run_id),
        reads.maps.points(run_id, limit=5),
        reads.runs.runs_of([run_id]),
        reads.brands.scheduled("other"),
        reads.brands.snapshot_of("other"),
    ):
        with pytest.raises(NotProjected):
            await ask


@given(st.floats(min_value=0, max_value=800), st.integers(0, FARTHEST_512THS))
def test_whole_numbers_decide_as_the_root_does(within: float, distance: int) -> None:
    assert (distance <= most_512ths(within)) is (math.sqrt(distance / 512) <= within)


@pytest.mark.parametrize(
    ("within", "most"),
    [(-1.0, -1), (math.nan, -1), (0.0, 0), (1.0, 512), (math.inf, FARTHEST_512THS)],
)
def test_the_least_and_greatest_distances(within: float, most: int) -> None:
    assert most_512ths(within) == most


def test_lower_case_is_letter_by_letter() -> None:
    assert lowered("AÉİß", "ascii") == "aÉİß"
    assert lowered("AÉİΣ", "unicode") == "aéİσ"
