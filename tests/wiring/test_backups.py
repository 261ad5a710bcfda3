"""A data folder that is made of a backup has all that the other had, and each row its object."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from tests.support.api_server import commit, pictures, put_objects
from tests.support.backups import Silent, backed_up, restored
from tests.support.data_folder import provide
from tests.support.local_pipeline import LOOPBACK, ended, local_at, snapshot
from tests.support.picture_server import Site, write_manifest
from tests.support.superuser_cluster import superuser_cluster
from tests.support.waiting import until_true
from triptych.backups.backup_errors import BackupFailed, BackupUnusable, NoRoom
from triptych.backups.manifest import MANIFEST, SealingKey
from triptych.backups.object_copies import Copied, ObjectCopies
from triptych.backups.object_list import ListedObject
from triptych.backups.postgres_moment import PostgresMoment
from triptych.database.migration import migrations
from triptych.embedded.binaries import Binaries
from triptych.embedded.data_folder import DataFolder
from triptych.embedded.dump import dump
from triptych.errors import BadInput, DataFolderInUse, SettingsError
from triptych.model import RunState
from triptych.objects import object_key, open_store
from triptych.settings.settings import Settings
from triptych.wiring import backing_up, restoring
from triptych.wiring.backing_up import BackupWanted, back_up
from triptych.wiring.sealing_keys import FILE
from triptych.wiring.services import Services, connect, own_database

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("backups")]

PICTURES = 6
SECRET = "catalog:https://user:secret@stores.example"
"""The source that `commit` gives its brands: it is sealed."""
OLDER = Path(__file__).resolve().parents[1] / "data"


def settings_at(data: Path, **more: object) -> Settings:
    return Settings.load(data=data, embedder="none", **more)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[Services]:
    async with own_database(settings) as dsn, connect(settings, dsn) as services:
        yield services


async def _fill(settings: Settings) -> None:
    contents = pictures(PICTURES)
    async with connected(settings) as services:
        await put_objects(settings, contents)
        await commit(services.stores, "nike", contents)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a committed brand; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("filled") / "data"
    provide(folder)
    asyncio.run(_fill(settings_at(folder)))
    return folder


@pytest.fixture
def settings(data: Path) -> Settings:
    return settings_at(data)


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A destination with one backup of it; tests leave it as it is."""
    destination = tmp_path_factory.mktemp("made") / "backups"
    asyncio.run(backed_up(settings_at(data), destination))
    return destination


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Path:
    """A destination of the test's own."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def unfinished(tmp_path: Path) -> Iterator[None]:
    """Fail if a restore into `tmp_path` left something."""
    yield
    assert not list(tmp_path.glob(".*.restoring"))


def backup_in(destination: Path) -> Path:
    (folder,) = (destination / "backups").iterdir()
    return folder


@pytest.mark.prove
async def test_g6_a_run_that_was_under_way_goes_on_after_a_restore(
    site: Site, tmp_path: Path, unfinished: None
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", PICTURES)
    settings = settings_at(tmp_path / "data", fetch_allow=LOOPBACK)
    async with local_at(tmp_path, flush_s=0.05, drain_s=0.5) as local:
        committed = await ended(local, (await local.submit("nike", source=source)).id)
        site.released, site.seed, seen = asyncio.Event(), 100, site.hits
        under_way = await local.submit("nike")
        await until_true(lambda: site.hits > seen)
        made = await backed_up(settings, tmp_path / "backups")
        await local.registry.cancel(under_way.id)
    assert (made.manifest.runs_active, made.manifest.objects.missing) == (1, 0)

    new = tmp_path / "elsewhere" / "data"
    found = await restored(settings, tmp_path / "backups", new)
    assert (found.runs_resumed, found.tally.wrong, found.applied) == (1, 0, [])
    assert found.tally.objects == PICTURES
    site.released.set()
    async with local_at(new.parent, flush_s=0.05) as local:
        assert (await local.stores.brands.brand("nike")).current_run == committed.id
        run = await ended(local, under_way.id)
        assert (run.state, run.done, run.changed) == (RunState.COMMITTED, PICTURES, PICTURES)
        store = open_store("file:", new / "objects")
        for asset in await snapshot(local, "nike"):
            assert await store.exists(asset.object_key)


async def test_a_second_backup_copies_only_what_is_new(
    settings: Settings, copy: Path, data: Path
) -> None:
    before = sorted(path.name for path in data.iterdir())
    made = await backed_up(settings, copy, keep=1)
    objects = made.manifest.objects
    assert (objects.count, objects.copied, objects.missing) == (PICTURES, 0, 0)
    assert (made.dropped, made.dropped_objects) == (1, 0)
    assert backup_in(copy) == made.folder
    assert sorted(path.name for path in data.iterdir()) == before


async def test_a_backup_without_the_key_says_so_and_needs_it(
    settings: Settings, data: Path, tmp_path: Path, unfinished: None
) -> None:
    made = await backed_up(settings, tmp_path / "backups", with_key=False)
    assert made.manifest.sealing_key is SealingKey.LEFT_OUT
    assert FILE not in {path.name for path in made.folder.iterdir()}
    with pytest.raises(SettingsError, match="--sealing-key"):
        await restored(settings, made.folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    found = await restored(settings, made.folder, tmp_path / "new", sealing_key=data / FILE)
    assert found.tally.wrong == 0
    assert (tmp_path / "new" / FILE).stat().st_mode & 0o777 == 0o600
    async with connected(settings_at(tmp_path / "new")) as services:
        assert await services.stores.brands.whole_source("nike", await _source(services)) == SECRET


async def _source(services: Services) -> str | None:
    return (await services.stores.brands.brand("nike")).source


async def test_g6_what_the_store_had_lost_is_counted_and_told(
    settings: Settings, data: Path, tmp_path: Path
) -> None:
    ((body, _), *_) = pictures(PICTURES).values()
    lost = data / "objects" / object_key(hashlib.sha256(body).digest())
    lost.unlink()
    try:
        made = await backed_up(settings, tmp_path / "backups")
    finally:
        lost.write_bytes(body)
    assert made.manifest.objects.missing == 1
    assert made.copied.first_missing == [str(lost.relative_to(data / "objects"))]
    again = await backed_up(settings, tmp_path / "backups")
    assert (again.manifest.objects.missing, again.manifest.objects.copied) == (0, 1)


async def test_an_object_that_went_with_a_lost_session_makes_it_begin_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = PostgresMoment.held
    answers = iter([False])

    async def lost_once(moment: PostgresMoment) -> bool:
        return next(answers, None) is None and await held(moment)

    sizes = iter([1])
    copied = ObjectCopies.copy

    async def missing_once(
        copies: ObjectCopies, objects: Iterator[ListedObject]
    ) -> AsyncIterator[Copied]:
        async for each in copied(copies, objects):
            each.missing += next(sizes, 0)
            yield each

    monkeypatch.setattr(PostgresMoment, "held", lost_once)
    monkeypatch.setattr(ObjectCopies, "copy", missing_once)
    made = await backed_up(settings, tmp_path / "backups")
    assert made.manifest.objects.missing == 0
    assert [made.folder] == list((tmp_path / "backups" / "backups").iterdir())


async def test_a_server_that_is_started_meanwhile_makes_it_begin_again(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, done = DataFolder(settings.data), asyncio.Event()
    servers: list[asyncio.Task[None]] = []

    async def serve() -> None:
        async with own_database(settings):
            await done.wait()

    async def taken_over(binaries: Binaries, dsn: str, *, snapshot: str) -> AsyncIterator[bytes]:
        if not servers:
            servers.append(asyncio.create_task(serve()))
            await until_true(lambda: (owner := folder.owner()) is not None and not owner.brief)
        async for chunk in dump(binaries, dsn, snapshot=snapshot):
            yield chunk

    monkeypatch.setattr(backing_up, "dump", taken_over)
    said: list[str] = []
    wanted = BackupWanted(tmp_path / "backups", with_key=True, keep=None)
    made = await back_up(settings, wanted, progress=Silent(), say=said.append)
    assert "The connection to the database was lost; the backup begins again." in said
    assert (made.manifest.objects.count, made.manifest.objects.missing) == (PICTURES, 0)
    assert [made.folder] == list((tmp_path / "backups" / "backups").iterdir())
    done.set()
    await servers[0]


@pytest.mark.prove
async def test_an_older_schema_is_migrated(tmp_path: Path, unfinished: None) -> None:
    data = tmp_path / "older"
    data.mkdir(mode=0o700)
    async with superuser_cluster(data) as server:
        connection = await asyncpg.connect(server.dsn)
        for script in (
            (OLDER / "schema_0018.sql").read_text(),
            "set session_replication_role = replica",
            (OLDER / "folder_0018" / "rows.sql").read_text(),
        ):
            await connection.execute(script)
        await connection.close()
    shutil.copytree(OLDER / "folder_0018" / "objects", data / "objects")
    made = await backed_up(settings_at(data), tmp_path / "backups")
    assert made.manifest.schema[-1] == "0018_letters_told", "the folder is left as it was"
    assert made.manifest.sealing_key is SealingKey.NONE
    found = await restored(settings_at(data), tmp_path / "backups", tmp_path / "new")
    known = [step.name for step in migrations() if step.name > "0018_letters_told"]
    assert sorted(found.applied) == known
    assert (found.runs_resumed, found.tally.wrong) == (1, 0)


def edit(destination: Path, **changes: object) -> None:
    path = backup_in(destination) / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


async def test_a_newer_schema_is_refused_with_the_release_that_it_takes(
    settings: Settings, copy: Path, tmp_path: Path, unfinished: None
) -> None:
    edit(copy, schema=["9999_of_the_future"], release="7.0.0")
    with pytest.raises(BackupUnusable, match=r"9999_of_the_future.*Triptych 7.0.0 or newer"):
        await restored(settings, copy, tmp_path / "new")
    edit(copy, schema=[], postgres="99.1")
    with pytest.raises(BackupUnusable, match="TRIPTYCH_POSTGRES_BIN"):
        await restored(settings, copy, tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_a_damaged_dump_is_refused_and_leaves_nothing(
    settings: Settings, copy: Path, tmp_path: Path, unfinished: None
) -> None:
    dump = backup_in(copy) / "database.dump"
    body = bytearray(dump.read_bytes())
    body[len(body) // 2] ^= 1
    dump.write_bytes(body)
    with pytest.raises(BackupUnusable, match="is damaged"):
        await restored(settings, copy, tmp_path / "new")
    assert not (tmp_path / "new").exists()


async def test_a_damaged_object_of_the_backup_is_found(
    settings: Settings, copy: Path, tmp_path: Path, unfinished: None
) -> None:
    path = next(path for path in (copy / "objects").rglob("*") if path.is_file())
    path.write_bytes(b"x" * path.stat().st_size)
    found = await restored(settings, copy, tmp_path / "new")
    assert (found.copied.missing, found.tally.missing, found.tally.wrong) == (1, 1, 1)
    assert [finding.brands for finding in found.findings] == [["nike"]]


async def test_a_folder_that_is_not_empty_stays_as_it_is(
    settings: Settings, made: Path, tmp_path: Path, unfinished: None
) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "notes.txt").write_text("mine")
    with pytest.raises(BadInput, match="is not empty"):
        await restored(settings, made, tmp_path / "new")
    assert (tmp_path / "new" / "notes.txt").read_text() == "mine"


async def test_a_folder_that_fills_meanwhile_is_not_replaced(
    settings: Settings,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unfinished: None,
) -> None:
    verify = restoring._Restoring._verify

    async def meanwhile(self: object, given: Settings) -> object:
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "notes.txt").write_text("mine")
        return await verify(self, given)  # type: ignore[arg-type]

    monkeypatch.setattr(restoring._Restoring, "_verify", meanwhile)
    with pytest.raises(BadInput, match="cannot be made"):
        await restored(settings, made, tmp_path / "new")
    assert (tmp_path / "new" / "notes.txt").read_text() == "mine"


async def test_two_restores_into_one_folder_do_not_meet(
    settings: Settings, made: Path, tmp_path: Path
) -> None:
    with DataFolder(tmp_path / ".new.restoring").lock(), pytest.raises(DataFolderInUse):
        await restored(settings, made, tmp_path / "new")


async def test_there_has_to_be_room(
    settings: Settings,
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unfinished: None,
) -> None:
    for module in (backing_up, restoring):
        monkeypatch.setattr(module, "free_bytes", lambda _folder: 1_000_000)
    with pytest.raises(NoRoom, match="remove older backups with --keep"):
        await backed_up(settings, tmp_path / "backups")
    assert list((tmp_path / "backups" / "backups").iterdir()) == []
    with pytest.raises(NoRoom, match="on another disk"):
        await restored(settings, made, tmp_path / "new")


@pytest.mark.parametrize("place", ["", "backups", "..", "../.."])
async def test_backups_are_not_kept_in_what_they_are_of(
    settings: Settings, data: Path, place: str
) -> None:
    with pytest.raises(BackupFailed, match="lie in each other"):
        await backed_up(settings, data / place)


async def test_other_databases_are_backed_up_with_their_own_tools(tmp_path: Path) -> None:
    elsewhere = settings_at(tmp_path / "data", database_url="postgresql://x@db.example/x")
    with pytest.raises(BackupFailed, match=r"docs/guides/backup.md"):
        await backed_up(elsewhere, tmp_path / "backups")
    with pytest.raises(BackupFailed, match="There is no database"):
        await backed_up(settings_at(tmp_path / "data"), tmp_path / "backups")
    assert not (tmp_path / "data").exists()
    with pytest.raises(BackupFailed, match="memory of another process"):
        await backed_up(settings_at(tmp_path / "data", store_url="memory:"), tmp_path / "backups")
