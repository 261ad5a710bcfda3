"""Objects whose bytes are others than were stored heal, once anybody has noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from onnx import TensorProto

from tests.support.image_encoder import SIDE, write_image_encoder
from tests.support.local_pipeline import acquiring_at, ended, snapshot
from tests.support.object_damage import DAMAGES, SAME_SIZE, damage, overwrite, read_raw, swap
from tests.support.picture_server import Site, write_manifest
from triptych.errors import ObjectDamaged, ObjectMissing
from triptych.model import Asset, Reason, RunState
from triptych.objects import ObjectStore
from triptych.wiring.local import Local
from triptych.wiring.object_store import open_objects

pytestmark = pytest.mark.integration

healing_at = partial(acquiring_at, decode=False)
"""What heals is the acquisition, of whatever bytes."""
URLS = len(DAMAGES) + 4
"""One for each kind of damage, two that are swapped, one that is lost, one that stays whole."""


@pytest.fixture(params=["file:", "s3:"])
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("bucket") if request.param == "s3:" else request.param
    return url


async def committed(local: Local, source: str) -> Sequence[Asset]:
    run = await ended(local, (await local.submit("nike", source=source)).id)
    assert (run.state, run.done) == (RunState.COMMITTED, URLS)
    return await snapshot(local, "nike")


async def damage_most(store: ObjectStore, assets: Sequence[Asset]) -> Sequence[Asset]:
    """Damage most objects, each in another way; return their assets."""
    keys = [asset.object_key for asset in assets]
    for how, key in zip(DAMAGES.values(), keys[4:], strict=True):
        damage(store, key, how)
    swap(store, keys[1], keys[2])
    await store.delete([keys[3]])
    return assets[1:]


async def read_all(store: ObjectStore, assets: Sequence[Asset]) -> int:
    """Read all objects; return how many fail."""
    failed = 0
    for asset in assets:
        try:
            await store.get(asset.object_key, size_bytes=asset.size_bytes)
        except ObjectMissing:
            failed += 1
    return failed


@pytest.mark.parametrize("etags", [True, False])
async def test_g6_the_next_run_fetches_what_is_known_to_be_damaged(
    site: Site, tmp_path: Path, store_url: str, etags: bool
) -> None:
    site.etags = etags
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with healing_at(tmp_path, store_url=store_url) as local:
        store = await open_objects(local.services.settings, local.stores.damage)
        before = await committed(local, source)
        bad = await damage_most(store, before)
        assert await read_all(store, before) == len(bad)
        assert await local.stores.damage.count() == len(bad) - 1, "a lost one is no damaged one"
        after = await committed(local, source)
        run = (await local.stores.runs.runs("nike", limit=1))[0]
        assert await read_all(store, after) == await local.stores.damage.count() == 0
        assert [asset.sha256 for asset in after] == [asset.sha256 for asset in before]
        assert (run.kept, site.not_modified) == (URLS, 1 if etags else 0)
        site.not_modified = 0
        await committed(local, source)
        assert site.not_modified == (URLS if etags else 0), "it is healed once"


async def test_g6_other_brands_with_the_same_bytes_heal_it_too(
    site: Site, tmp_path: Path, store_url: str
) -> None:
    """A put compares bytes in each store, also if nobody has noticed the damage yet."""
    async with healing_at(tmp_path, store_url=store_url) as local:
        store = await open_objects(local.services.settings, local.stores.damage)
        assets = await committed(local, write_manifest(tmp_path, site.base, "nike", URLS))
        for asset in assets:
            damage(store, asset.object_key, SAME_SIZE["flipped"])
        other = write_manifest(tmp_path, site.base, "adidas", URLS)
        await ended(local, (await local.submit("adidas", source=other)).id)
        assert await read_all(store, assets) == 0


async def test_g6_a_damaged_object_whose_source_has_changed_becomes_another(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with healing_at(tmp_path) as local:
        store = await open_objects(local.services.settings, local.stores.damage)
        before = await committed(local, source)
        bad = await damage_most(store, before)
        left = read_raw(store, bad[-1].object_key)
        await read_all(store, before)
        site.seed = 1000
        after = await committed(local, source)
        assert await read_all(store, after) == 0
        assert read_raw(store, bad[-1].object_key) == left, "no other bytes under its key"


async def test_g6_one_that_cannot_be_fetched_fails_and_stays_noted(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with healing_at(tmp_path) as local:
        store = await open_objects(local.services.settings, local.stores.damage)
        asset = (await committed(local, source))[0]
        damage(store, asset.object_key, SAME_SIZE["flipped"])
        with pytest.raises(ObjectDamaged):
            await store.get(asset.object_key)
        site.gone = {int(asset.metadata["position"])}
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assert (run.failed, run.reasons) == (1, {Reason.NOT_FOUND: 1})
        assert await local.stores.damage.noted([asset.object_key]) == {asset.object_key}


def a_model(folder: Path) -> str:
    return str(write_image_encoder(folder / "first.onnx", ["n", SIDE, SIDE, 3], TensorProto.FLOAT))


def another_model(folder: Path) -> str:
    return str(write_image_encoder(folder / "other.onnx", ["n", SIDE, SIDE, 3], TensorProto.UINT8))


@pytest.mark.parametrize("gone", [False, True])
async def test_g6_a_reembed_notices_fetches_and_says_what_it_could_not(
    site: Site, tmp_path: Path, store_url: str, gone: bool
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with acquiring_at(tmp_path, embedder=a_model(tmp_path), store_url=store_url) as local:
        store = await open_objects(local.services.settings)
        before = await committed(local, source)
        bad = await damage_most(store, before)
    if gone:
        site.gone = {int(asset.metadata["position"]) for asset in bad}
    settings = {"embedder": another_model(tmp_path), "store_url": store_url}
    async with acquiring_at(tmp_path, **settings) as local:
        run = await ended(local, (await local.registry.reembed("nike")).run.id)
        after = {asset.url: asset for asset in await snapshot(local, "nike")}
        failed = await local.stores.runs.failed_items(
            run.id, Reason.OBJECT_DAMAGED, after=-1, limit=URLS
        )
        noted = await local.stores.damage.count()
    assert len(after) == URLS
    if gone:
        assert run.reasons == {Reason.OBJECT_DAMAGED: len(bad)}
        told = "its stored object is damaged or lost, and its URL: not_found"
        assert all(item.detail.startswith(told) for item in failed.rows)
        # Truncated, emptied and lost ones need no note: their size gives them away.
        assert len(SAME_SIZE) <= noted < len(bad)
    else:
        assert (run.failed, run.kept, noted) == (0, URLS, 0)
        assert await read_all(store, before) == 0
        assert len({asset.model for asset in after.values()}) == 1


async def test_a_damaged_object_is_not_decoded_as_another_picture(
    site: Site, tmp_path: Path
) -> None:
    """Whole pictures under wrong keys would be embedded as if they were the assets'."""
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with acquiring_at(tmp_path, embedder=a_model(tmp_path)) as local:
        store = await open_objects(local.services.settings)
        before = await committed(local, source)
        overwrite(store, before[0].object_key, read_raw(store, before[1].object_key))
        site.gone = set(range(URLS))
    async with acquiring_at(tmp_path, embedder=another_model(tmp_path)) as local:
        run = await ended(local, (await local.registry.reembed("nike")).run.id)
        after = {asset.url: asset for asset in await snapshot(local, "nike")}
    assert run.failed == 1
    assert after[before[0].url].model == before[0].model
    assert hashlib.sha256(read_raw(store, before[1].object_key)).digest() == before[1].sha256
