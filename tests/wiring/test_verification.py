"""All rows and objects are checked, in each store; what can be fetched again is repaired."""

from __future__ import annotations

import errno
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.api_server import commit, put_objects, settings_for
from tests.support.object_damage import DAMAGES, SAME_SIZE, damage, overwrite, read_raw, swap
from tests.support.picture_server import Site, picture
from triptych.errors import BrandNotFound, ObjectMissing, StoreUnavailable
from triptych.media import thumbnails
from triptych.media.thumbnails import sealed, thumbnail_key
from triptych.objects import ObjectStore, object_key, open_store
from triptych.settings.settings import Settings
from triptych.snapshots import object_check
from triptych.snapshots.object_check import Finding, Problem, Tally
from triptych.snapshots.postgres import postgres_stored_rows
from triptych.telemetry.metrics import OBJECTS_REPLACED
from triptych.wiring.services import connect
from triptych.wiring.stores import Stores
from triptych.wiring.verification import Wanted, open_verification

PICTURES = len(DAMAGES) + 4
EXPECTED = Counter(
    {
        Problem.MISSING: 1,
        Problem.WRONG_SIZE: len(DAMAGES) - len(SAME_SIZE) + 2,
        Problem.WRONG_HASH: len(SAME_SIZE),
    }
)
"""Pictures that are swapped have different sizes."""


@pytest.fixture(params=["file:", "s3:"])
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("bucket") if request.param == "s3:" else request.param
    return url


@pytest.fixture
def settings(store_url: str, migrated_dsn: str, tmp_path: Path) -> Settings:
    allowed = {"fetch_allow": "127.0.0.0/8", "robots": False}
    return settings_for(migrated_dsn, tmp_path, store_url=store_url, **allowed)


@pytest.fixture
async def stores(settings: Settings, migrated_dsn: str) -> AsyncIterator[Stores]:
    async with connect(settings, migrated_dsn) as services:
        yield services.stores


@pytest.fixture
def store(settings: Settings) -> ObjectStore:
    return open_store(settings.store_url, settings.data / "objects")


def contents_of(site: Site, brand: str = "nike", first: int = 0) -> dict[str, tuple[bytes, str]]:
    return {
        f"{site.base}/{brand}/{n}.png": (picture(n), "image/png")
        for n in range(first, first + PICTURES)
    }


def keys_of(contents: Mapping[str, tuple[bytes, str]]) -> Sequence[str]:
    return [object_key(hashlib.sha256(body).digest()) for body, _ in contents.values()]


async def prepared(settings: Settings, stores: Stores, site: Site) -> Sequence[str]:
    contents = contents_of(site)
    await put_objects(settings, contents)
    await commit(stores, "nike", contents)
    await commit(stores, "nike", contents)
    return keys_of(contents)


async def damage_most(store: ObjectStore, keys: Sequence[str]) -> Sequence[str]:
    """Damage all but the first, each in another way; return the keys of those."""
    for how, key in zip(DAMAGES.values(), keys[4:], strict=True):
        damage(store, key, how)
    swap(store, keys[1], keys[2])
    await store.delete([keys[3]])
    return keys[1:]


async def verified(
    settings: Settings,
    *brands: str,
    quick: bool = False,
    repair: bool = False,
    first: int = 0,
) -> tuple[Sequence[Finding], Tally]:
    wanted = Wanted(brands, quick=quick, repair=repair, at_once=4, first=first)
    async with open_verification(settings, wanted) as verification:
        found = [finding async for finding in verification.findings]
        return found, verification.check.tally


def problems(found: Sequence[Finding]) -> Counter[Problem]:
    return Counter(finding.problem for finding in found)


async def test_what_is_whole_is_found_whole(
    settings: Settings, stores: Stores, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_stored_rows, "PAGE_ROWS", 2)
    monkeypatch.setattr(object_check, "OBJECTS_AT_ONCE", 3)
    keys = await prepared(settings, stores, site)
    for brands in ((), ("nike",)):
        found, tally = await verified(settings, *brands)
        assert (found, tally.wrong, tally.objects) == ([], 0, len(keys))
        assert tally.bytes_read == sum(len(picture(n)) for n in range(PICTURES))
    assert (await verified(settings, quick=True))[1].bytes_read == 0
    with pytest.raises(BrandNotFound):
        await verified(settings, "adidas")


@pytest.mark.parametrize("brands", [(), ("nike",)], ids=["all", "brand"])
async def test_each_kind_of_damage_is_told(
    settings: Settings, stores: Stores, store: ObjectStore, site: Site, brands: Sequence[str]
) -> None:
    keys = await prepared(settings, stores, site)
    bad = await damage_most(store, keys)
    left = {key: read_raw(store, key) for key in bad if await store.exists(key)}
    found, tally = await verified(settings, *brands)
    assert {finding.object for finding in found} == set(bad)
    assert problems(found) == EXPECTED
    assert tally.wrong == len(bad)
    assert all(finding.brands == ["nike"] and finding.url for finding in found)
    assert not any(finding.repaired or finding.outcome for finding in found)
    assert {key: read_raw(store, key) for key in left} == left, "nothing was changed"
    # The next run fetches those again whose size does not give them away.
    assert len(await stores.damage.noted(keys)) == EXPECTED[Problem.WRONG_HASH]
    found, _ = await verified(settings, *brands, quick=True)
    assert problems(found) == EXPECTED - Counter({Problem.WRONG_HASH: len(SAME_SIZE)})


@pytest.mark.parametrize("brands", [(), ("nike",)], ids=["all", "brand"])
async def test_a_repair_fetches_it_again(
    settings: Settings, stores: Stores, store: ObjectStore, site: Site, brands: Sequence[str]
) -> None:
    keys = await prepared(settings, stores, site)
    bad = await damage_most(store, keys)
    found, tally = await verified(settings, *brands, repair=True)
    assert all(finding.repaired for finding in found), found
    assert (tally.repaired, tally.wrong, site.hits) == (len(bad), 0, len(bad))
    assert [await store.get(key) for key in keys] == [picture(n) for n in range(PICTURES)]
    assert await stores.damage.count() == 0
    assert (await verified(settings))[0] == []


async def test_g6_a_repair_stores_no_other_bytes(
    settings: Settings, stores: Stores, store: ObjectStore, site: Site
) -> None:
    keys = await prepared(settings, stores, site)
    bad = await damage_most(store, keys)
    left = {key: read_raw(store, key) for key in bad if await store.exists(key)}
    site.seed = 1000
    site.gone = {4}
    found, tally = await verified(settings, repair=True)
    assert (tally.repaired, tally.wrong) == (0, len(bad))
    outcomes = [finding.outcome for finding in found]
    assert sum("has other bytes now: left for the next run of nike" in o for o in outcomes) == 10
    assert sum("cannot be fetched: not_found" in outcome for outcome in outcomes) == 1
    assert {key: read_raw(store, key) for key in left} == left
    listed = {
        key for folder in range(256) for key in await store.list_under(f"sha256/{folder:02x}/")
    }
    assert listed == {*left, keys[0]}


async def test_an_object_is_fetched_from_whichever_url_still_has_it(
    settings: Settings, stores: Stores, store: ObjectStore, site: Site
) -> None:
    (body, kind), *_ = contents_of(site).values()
    urls = [f"{site.base}/{brand}/{n}.png" for brand, n in (("a", 99), ("b", 98), ("c", 0))]
    for number, url in enumerate(urls):
        await put_objects(settings, {url: (body, kind)})
        await commit(stores, f"brand {number}", {url: (body, kind)})
    await store.delete([key := object_key(hashlib.sha256(body).digest())])
    found, _ = await verified(settings, repair=True)
    assert [(one.object, one.repaired) for one in found] == [(key, True)]
    assert found[0].brands == ["brand 0", "brand 1", "brand 2"]
    assert found[0].outcome == f"fetched from {urls[2]}"


async def test_one_that_cannot_be_read_is_told_and_repaired(
    settings: Settings,
    stores: Stores,
    store: ObjectStore,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As of a bad block: the store works for others."""
    bad = (await prepared(settings, stores, site))[0]
    read = ObjectStore._chunks

    def chunks(self: ObjectStore, key: str) -> Iterator[bytes]:
        if key == bad:
            raise OSError(errno.EIO, "Input/output error")
        return read(self, key)

    monkeypatch.setattr(ObjectStore, "_chunks", chunks)
    found, tally = await verified(settings, "nike")
    assert [(one.problem, one.object) for one in found] == [(Problem.UNREADABLE, bad)]
    assert (tally.unreadable, tally.wrong) == (1, 1)
    assert await stores.damage.noted([bad]) == {bad}, "the next run fetches it again"
    overwritten = OBJECTS_REPLACED._value.get()
    found, _ = await verified(settings, "nike", repair=True)
    assert [one.repaired for one in found] == [True]
    assert OBJECTS_REPLACED._value.get() == overwritten + 1
    assert await stores.damage.count() == 0


async def test_a_store_that_is_away_is_no_damage(
    settings: Settings,
    stores: Stores,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await prepared(settings, stores, site)

    def away(_self: ObjectStore, _key: str) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    async with open_verification(settings, Wanted((), False, False, 4, 0)) as verification:
        monkeypatch.setattr(ObjectStore, "_digest", away)
        monkeypatch.setattr(ObjectStore, "_find", away)
        with pytest.raises(StoreUnavailable):
            await anext(verification.findings)
    assert await stores.damage.count() == 0


async def test_other_brands_are_left_alone(
    settings: Settings, stores: Stores, store: ObjectStore, site: Site
) -> None:
    keys = await prepared(settings, stores, site)
    other = contents_of(site, "adidas", first=500)
    await put_objects(settings, other)
    await commit(stores, "adidas", other)
    await damage_most(store, keys)
    found, tally = await verified(settings, "adidas", repair=True)
    assert (found, tally.objects, site.hits) == ([], PICTURES, 0)


async def test_what_no_row_names_is_told_and_kept(
    settings: Settings,
    stores: Stores,
    store: ObjectStore,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await prepared(settings, stores, site)
    stray = await store.put(b"stray", hashlib.sha256(b"stray").digest(), "image/png")
    found, tally = await verified(settings)
    assert (found, tally.young) == ([], 1), "an item may be about to settle with it"
    monkeypatch.setattr(object_check, "YOUNG", timedelta(days=-1))
    found, tally = await verified(settings, repair=True)
    assert [(one.problem, one.object) for one in found] == [(Problem.UNREFERRED, stray)]
    assert (tally.unreferred, tally.unreferred_bytes, tally.wrong) == (1, 5, 0)
    assert await store.get(stray) == b"stray"
    await stores.databases[0].fetch("insert into unused_objects (object_key) values ($1)", stray)
    found, tally = await verified(settings)
    assert (found, tally.unreferred, tally.waiting) == ([], 0, 1)
    assert (await verified(settings, "nike"))[1].unreferred == 0


async def test_damaged_thumbnails_are_told_and_made_again(
    settings: Settings, stores: Stores, store: ObjectStore, site: Site
) -> None:
    key = (await prepared(settings, stores, site))[0]
    sha256 = bytes.fromhex(key.rpartition("/")[2])
    good, bad = thumbnail_key(sha256, 160), thumbnail_key(sha256, 320)
    old = thumbnail_key(sha256, 160, thumbnails.VERSION - 1)
    stray = thumbnail_key(bytes(32), 160)
    for name in (good, bad, old, stray):
        overwrite(store, name, sealed(name, b"a thumbnail"))
    damage(store, bad, DAMAGES["flipped"])
    found, tally = await verified(settings)
    assert {(one.problem, one.object) for one in found} == {
        (Problem.THUMBNAIL_DAMAGED, bad),
        (Problem.UNREFERRED, stray),
    }
    assert (tally.thumbnails, tally.thumbnails_of_older_versions, tally.wrong) == (3, 1, 1)
    found, tally = await verified(settings, repair=True)
    assert (tally.repaired, tally.wrong) == (1, 0)
    assert not await store.exists(bad)
    assert await store.exists(good)


async def test_it_begins_where_it_stopped(
    settings: Settings, stores: Stores, store: ObjectStore, site: Site
) -> None:
    keys = sorted(await prepared(settings, stores, site))
    await store.delete(keys)
    folder = int(keys[5][7:9], 16)
    found, _ = await verified(settings, first=folder)
    assert [one.object for one in found] == [key for key in keys if int(key[7:9], 16) >= folder]


async def test_of_an_object_that_many_rows_name_a_few_are_read(
    settings: Settings,
    stores: Stores,
    store: ObjectStore,
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(postgres_stored_rows, "PAGE_ROWS", 7)
    contents = {f"{site.base}/nike/{n}.png": (b"placeholder", "image/png") for n in range(50)}
    await put_objects(settings, contents)
    await commit(stores, "nike", contents)
    async with stores.stored_rows.open([]) as pages:
        groups = [each async for each in pages.objects("", "t", batch=2)]
    assert [[len(rows) for rows in group] for group in groups] == [[20]]
    await store.delete([keys_of(contents)[0]])
    found, tally = await verified(settings)
    assert (len(found), tally.objects) == (1, 1)
    with pytest.raises(ObjectMissing):
        await store.get(found[0].object)
