"""`triptych backup` and `triptych restore BACKUP`, beside a server and while everything goes on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.api_server import bearer
from tests.support.cli_process import PATIENCE_S, Cli, up
from tests.support.local_pipeline import ended, local_at
from tests.support.picture_server import Site, write_manifest
from tests.support.retention_rules import COLLECT_AT_ONCE
from tests.support.waiting import until, until_true
from triptych.backups.destination import PARTIAL, Destination, find_backup
from triptych.backups.object_list import OBJECT_LIST, listed_objects
from triptych.embedded.cluster import PID_FILE
from triptych.model import RunState
from triptych.objects import open_store
from triptych.wiring.local import Local
from triptych.workers.collector import Collector

pytestmark = pytest.mark.integration

URLS = 200
BACKUPS = 4
"""Every second one is killed."""


async def test_what_is_no_backup_or_no_data_folder_is_said(new_cli: Cli, tmp_path: Path) -> None:
    none = await new_cli("backup", str(tmp_path / "backups"))
    assert (none.code, none.out) == (1, "")
    assert "There is no database in" in none.err
    forgotten = await new_cli("restore", "nike")
    assert forgotten.code == 1
    assert "There is no folder" in forgotten.err
    assert "triptych snapshots" in forgotten.err
    assert not new_cli.data.exists()


async def got(session: aiohttp.ClientSession, path: str, **options: Any) -> Any:
    async with session.get(f"/api/v1/{path}", **options) as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def prepared(cli: Cli, url: str, source: str) -> str:
    """Commit a brand with a schedule, a webhook and a key; return the key's token."""
    run = await cli("submit", "nike", "--source", source, "--watch", "--server", url)
    assert run.code == 0, run.err
    async with aiohttp.ClientSession(url) as session:
        for method, path, body in (
            ("PUT", "brands/nike", {"source": source, "schedule": "0 4 * * *"}),
            (
                "POST",
                "webhooks",
                {"url": "https://hooks.example/in?sig=S", "events": ["run.failed"]},
            ),
        ):
            async with session.request(method, f"/api/v1/{path}", json=body) as response:
                assert response.status in {201, 202}, await response.text()
    return (await cli("keys", "create", "ci")).out.strip()


@pytest.mark.prove
async def test_all_works_after_a_restore_of_what_was_backed_up_beside_a_server(
    site: Site, cli: Cli, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 12)
    async with up(cli) as url:
        token = await prepared(cli, url, source)
        made = await cli("backup", str(tmp_path / "backups"))
    assert (made.code, made.err) == (0, "")
    assert "12 assets" in made.out
    assert "The sealing key is in it" in made.out

    new = Cli(tmp_path / "new")
    restored = await new("restore", str(tmp_path / "backups"), "--data", str(new.data))
    assert (restored.code, restored.err) == (0, "")
    assert "12 objects" in restored.out
    assert "0 missing, 0 of another size, 0 of other bytes, 0 unreadable." in restored.out
    site.seed = 100
    async with up(new) as url, aiohttp.ClientSession(url) as session:
        me = await got(session, "me", headers=bearer(token))
        assert (me["scope"], me["name"]) == ("reader", "key:ci")
        (webhook,) = (await got(session, "webhooks"))["items"]
        assert webhook["url"] == "https://hooks.example/in?…"
        brand = await got(session, "brands/nike")
        assert (brand["schedule"], brand["assets"]) == ("0 4 * * *", 12)
        run = await new("submit", "nike", "--watch", "--server", url)
        assert run.code == 0, run.err
    assert (await new("verify")).code == 0


@pytest.mark.prove
async def test_a_restore_that_was_killed_leaves_nothing_to_the_next(
    site: Site, cli: Cli, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 3)
    async with local_at(tmp_path) as local:
        await ended(local, (await local.submit("nike", source=source)).id)
    assert (await cli("backup", str(tmp_path / "backups"))).code == 0
    new, unfinished = Cli(tmp_path / "new"), tmp_path / ".new.restoring"
    process = await new.start("restore", str(tmp_path / "backups"))
    await until_true((unfinished / "postgres" / PID_FILE).exists, patience_s=PATIENCE_S)
    process.kill()
    await process.communicate()
    assert not new.data.exists()
    restored = await new("restore", str(tmp_path / "backups"))
    assert restored.code == 0, restored.err
    assert not unfinished.exists()
    assert (await new("status", "nike")).code == 0


@asynccontextmanager
async def under_load(local: Local, folder: Path, site: Site) -> AsyncIterator[None]:
    """Commit and collect all the time: what was let go of is wanted again."""
    stop = asyncio.Event()
    store = open_store("file:", folder / "data" / "objects")
    collector = Collector(
        local.stores.retention,
        local.stores.tasks,
        local.stores.uploads,
        store,
        COLLECT_AT_ONCE,
    )

    async def collect() -> None:
        while not stop.is_set():
            await collector.collect_rows()
            await collector.collect_objects()

    async def commit(brand: str) -> int:
        runs = 0
        while not stop.is_set():
            site.seed = random.choice((0, 1000, 2000))
            # It waits for backups that hold the deletion of what it wants again.
            opened = await local.submit(brand)
            run = await ended(local, opened.id, patience_s=3 * PATIENCE_S)
            assert run.state is RunState.COMMITTED, run.reasons
            runs += 1
        return runs

    for brand in ("nike", "adidas"):
        source = write_manifest(folder, site.base, brand, URLS)
        await ended(local, (await local.submit(brand, source=source)).id)
    async with asyncio.TaskGroup() as group:
        group.create_task(collect())
        committing = [group.create_task(commit(brand)) for brand in ("nike", "adidas")]
        try:
            yield
        finally:
            stop.set()
    assert all(task.result() for task in committing)


async def killed(cli: Cli, destination: Destination, rng: random.Random) -> None:
    """Begin a backup, and kill it while it writes."""
    process = await cli.start("backup", str(destination.path))

    async def begun() -> bool:
        return bool(list((destination.path / "backups").glob(f"{PARTIAL}*")))

    assert await until(begun, bool, patience_s=PATIENCE_S)
    with suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), rng.uniform(0.0, 0.6))
    if process.returncode is None:
        process.kill()
    await process.communicate()


def lost_objects(destination: Destination) -> Iterator[str]:
    """Yield what a backup names, and the destination does not have."""
    for folder in destination.folders():
        _, objects, manifest = find_backup(folder)
        assert manifest.objects.missing == 0
        for each in listed_objects(folder / OBJECT_LIST):
            path = objects / each.key
            if not path.is_file() or path.stat().st_size != each.size_bytes:
                yield each.key


@pytest.mark.prove
@pytest.mark.parametrize("seed", [19])
async def test_g6_every_row_of_a_backup_has_its_object_whatever_goes_on_and_is_killed(
    site: Site, cli: Cli, tmp_path: Path, seed: int
) -> None:
    rng, destination = random.Random(seed), Destination(tmp_path / "backups")
    async with (
        local_at(tmp_path, flush_s=0.05, host_rate=100_000.0, drain_s=1.0) as local,
        under_load(local, tmp_path, site),
    ):
        for number in range(BACKUPS):
            if number % 2:
                complete = destination.folders()
                await killed(cli, destination, rng)
                assert list(destination.folders())[: len(complete)] == list(complete)
            else:
                made = await cli("backup", str(destination.path))
                assert made.code == 0, made.out + made.err
    assert len(destination.folders()) >= BACKUPS / 2
    assert not list(lost_objects(destination))
    for number, folder in enumerate(destination.folders()[-2:]):
        new = Cli(tmp_path / f"new-{number}")
        restored = await new("restore", str(folder), "--json")
        assert restored.code == 0, restored.out + restored.err
        found = restored.json()
        assert found["verified"]["wrong"] == 0
        assert found["verified"]["objects"] == found["manifest"]["objects"]["count"]
        assert not list(tmp_path.glob(".*.restoring"))
    run = await new("run", "nike")
    assert run.code == 0, run.err
    assert (await new("verify")).code == 0
