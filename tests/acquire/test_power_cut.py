"""A power cut at any moment: what was committed has its objects, and the rest heals."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.cli_process import Cli, up_process
from tests.support.local_pipeline import ended, local_at
from tests.support.picture_server import Site, write_manifest
from tests.support.power_cut import Disk, frozen, make_image, mounted, no_loop_device
from triptych.client.client import Client, open_client
from triptych.model import RunState
from triptych.settings.settings import Settings
from triptych.wiring.services import connect, own_database
from triptych.wiring.stores import Stores

pytestmark = pytest.mark.prove

SEED = 16
URLS = 120
JOURNAL_S = 7.0
"""After this long the file system has committed its journal, and has not written files' bytes:
an object that was not flushed is then an empty file."""
PATIENCE_S = 60.0
BRANDS = ("nike", "adidas", "puma")


async def committed(client: Client, brand: str, source: str) -> None:
    """Take a brand to its commit; its AI phase may go on."""
    run = await client.start(brand, source=source)
    async with asyncio.timeout(PATIENCE_S):
        async for state in client.watch(run.id):
            if state.state is not RunState.ACTIVE:
                assert state.state is RunState.COMMITTED, state
                return


async def cuts_while_working(
    cli: Cli, disk: Disk, sources: Sequence[str], copies: Path
) -> list[Path]:
    """Take brands through a real `triptych up` and copy its disk at several moments."""
    rng = random.Random(SEED)
    images: list[Path] = []

    async with up_process(cli) as (process, url), open_client(url) as client:

        async def cut(after_s: float) -> None:
            await asyncio.sleep(after_s)
            images.append(copies / f"cut-{len(images)}-{after_s:.2f}s.img")
            with frozen(process.pid):
                disk.copy(images[-1])

        await committed(client, BRANDS[0], sources[0])
        await cut(0.0)
        await cut(JOURNAL_S)
        for brand, source in zip(BRANDS[1:], sources[1:], strict=True):
            run = asyncio.create_task(committed(client, brand, source))
            await cut(rng.uniform(0.3, 2.5))
            await run
            await cut(rng.uniform(0.0, 1.0))
    return images


async def broken_objects(stores: Stores, data: Path) -> tuple[int, list[str]]:
    """Return how many assets the current snapshots have, and which lack their bytes."""
    count, broken = 0, []
    for brand in await stores.brands.brands():
        if brand.current_run is None:
            continue
        async for page in stores.snapshots.stream_assets(brand.current_run, batch=1000):
            for asset in page:
                count += 1
                path = data / "objects" / asset.object_key
                if not path.is_file():
                    broken.append(f"{asset.url} is missing")
                elif hashlib.sha256(path.read_bytes()).digest() != asset.sha256:
                    broken.append(f"{asset.url} has {path.stat().st_size} bytes")
    return count, broken


async def after_the_cut(folder: Path) -> tuple[int, list[str]]:
    """Start the database alone, as nothing but its own recovery has changed the folder."""
    settings = Settings.load(data=folder / "data")
    async with own_database(settings) as dsn, connect(settings, dsn) as services:
        return await broken_objects(services.stores, folder / "data")


async def after_new_runs(folder: Path, sources: Sequence[str]) -> tuple[int, list[str]]:
    async with local_at(folder) as local:
        for brand, source in zip(BRANDS, sources, strict=True):
            run = await ended(local, (await local.submit(brand, source=source)).id)
            assert (run.state, run.done) == (RunState.COMMITTED, URLS), run
        return await broken_objects(local.stores, folder / "data")


async def test_g14_a_power_cut_loses_nothing_that_was_committed(site: Site, tmp_path: Path) -> None:
    if reason := no_loop_device():
        pytest.skip(reason)
    image = tmp_path / "disk.img"
    make_image(image)
    sources = [write_manifest(tmp_path, site.base, brand, URLS) for brand in BRANDS]
    with mounted(image, tmp_path / "disk") as disk:
        cli = Cli(disk.folder / "data")
        cli.env["TRIPTYCH_FLUSH_ITEMS"] = "20"
        images = await cuts_while_working(cli, disk, sources, tmp_path)
    for number, cut in enumerate(images):
        with mounted(cut, tmp_path / f"after-{number}") as disk:
            count, broken = await after_the_cut(disk.folder)
            assert count >= URLS, cut.name
            assert not broken, f"{cut.name}: {len(broken)} of {count}, such as {broken[0]}"
            count, broken = await after_new_runs(disk.folder, sources)
            assert (count, broken) == (URLS * len(BRANDS), []), cut.name
        cut.unlink()
