"""Objects that are missing, empty or cut, as power cuts of older versions left them, heal."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.cli_process import Cli
from tests.support.local_pipeline import acquiring_at, ended, snapshot
from tests.support.picture_server import Site, write_manifest
from triptych.model import Asset, RunState
from triptych.wiring.doctor import diagnose
from triptych.wiring.local import Local

pytestmark = pytest.mark.integration

URLS = 9
DAMAGES: Sequence[Callable[[Path], object]] = (
    Path.unlink,
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(path.read_bytes()[:-1]),
)


def damage(folder: Path, assets: Sequence[Asset]) -> None:
    """Damage most objects, each in another way."""
    for number, asset in enumerate(assets[:-2]):
        DAMAGES[number % len(DAMAGES)](folder / "data" / "objects" / asset.object_key)


def whole(folder: Path, assets: Sequence[Asset]) -> int:
    """Return how many assets have their bytes."""
    paths = [(folder / "data" / "objects" / asset.object_key, asset) for asset in assets]
    return sum(
        path.is_file() and hashlib.sha256(path.read_bytes()).digest() == asset.sha256
        for path, asset in paths
    )


async def committed(local: Local, source: str) -> Sequence[Asset]:
    run = await ended(local, (await local.submit("nike", source=source)).id)
    assert (run.state, run.done) == (RunState.COMMITTED, URLS)
    return await snapshot(local, "nike")


@pytest.mark.parametrize("etags", [True, False])
async def test_g6_a_new_run_heals_them(site: Site, tmp_path: Path, etags: bool) -> None:
    site.etags = etags
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with acquiring_at(tmp_path) as local:
        damage(tmp_path, before := await committed(local, source))
        assert whole(tmp_path, before) == 2
        after = await committed(local, source)
        run = (await local.stores.runs.runs("nike", limit=1))[0]
    assert whole(tmp_path, after) == URLS
    assert [asset.sha256 for asset in after] == [asset.sha256 for asset in before]
    assert (run.kept, site.not_modified) == (URLS, 2 if etags else 0)


async def test_g6_a_deleted_brand_that_comes_again_heals_them(site: Site, tmp_path: Path) -> None:
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with acquiring_at(tmp_path) as local:
        damage(tmp_path, before := await committed(local, source))
        await local.stores.brands.begin_deletion("nike")
        while not await local.stores.retention.delete_brand("nike", limit=1000):
            pass
        assert whole(tmp_path, before) == 2
        assert whole(tmp_path, await committed(local, source)) == URLS


async def test_doctor_counts_them_and_names_the_remedy(site: Site, tmp_path: Path) -> None:
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with acquiring_at(tmp_path) as local:
        assets = await committed(local, source)
        settings = local.services.settings
    found = {finding.what: finding for finding in await diagnose(settings)}
    assert found["assets"].ok
    assert "9 objects" in found["assets"].says
    damage(tmp_path, assets)
    ill = await Cli(tmp_path / "data")("doctor")
    assert ill.code == 1
    assert "7 of 9 objects that were looked for are missing or damaged." in ill.out
    assert "Run these brands again: nike." in ill.out
