"""Where the embedded Postgres may live, who runs it, and that nobody else gets in."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.data_folder import provide_cluster
from tests.support.embedded import QUICK, ask, mode, socket_folder
from triptych.embedded import server as server_module
from triptych.embedded.binaries import find_binaries, make_reachable
from triptych.embedded.data_folder import DataFolder
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.sockets import PATH_MAX_BYTES, SOCKET

pytestmark = pytest.mark.integration

ROOT = os.geteuid() == 0


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database of the test's own."""
    return provide_cluster(tmp_path / "data")


# --- Where it may live ------------------------------------------------------------------------


async def test_a_data_path_longer_than_a_socket_path(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / ("long" * 50)).path

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        folder = socket_folder(server.dsn)
        assert len(os.fsencode(folder / SOCKET)) <= PATH_MAX_BYTES
        assert folder.is_dir()
        assert await ask(server.dsn, "SELECT 1") == 1
    assert not folder.exists()


async def test_a_data_path_with_characters_that_urls_and_lists_split_at(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "Café, 100% & 'more'?").path

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert await ask(server.dsn, "SELECT current_database()") == "triptych"


async def test_the_environment_does_not_lead_astray(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "PGDATA"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("TRIPTYCH_SOURCE_TOKEN", "secret")

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        environment = Path(f"/proc/{server.pid}/environ").read_bytes().decode().split("\0")
        names = {entry.partition("=")[0] for entry in environment}
    assert "PATH" in names
    assert not names & {"PGPORT", "PGHOST", "PGUSER", "PGDATABASE", "TRIPTYCH_SOURCE_TOKEN"}


async def test_parents_closed_to_others_stay_so_and_do_no_harm(tmp_path: Path) -> None:
    """As root the server runs as another account, which cannot enter the folder's parents."""
    closed = tmp_path / "closed"
    data = DataFolder(closed / "data").path
    closed.chmod(0o700)
    parents = {path: (path.stat().st_uid, path.stat().st_mode) for path in (data, *data.parents)}

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        account = (data / "postgres").stat().st_uid
        assert (account != 0) if ROOT else (account == os.geteuid())
        assert Path(f"/proc/{server.pid}").stat().st_uid == account

    assert parents == {path: (path.stat().st_uid, path.stat().st_mode) for path in parents}


# --- Who may connect --------------------------------------------------------------------------


async def test_folders_socket_and_files_are_private(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "data").path
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        folder = socket_folder(server.dsn)
        cluster = data / "postgres"
        assert mode(folder) == mode(folder / SOCKET) == mode(cluster) == mode(data) == 0o700
        assert folder.stat().st_uid == cluster.stat().st_uid
        assert mode(data / "log" / "postgres.log") == 0o600
        assert not [path for path in cluster.rglob("*") if path.lstat().st_mode & 0o077]


def lines_of(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if not line.startswith("#")]


async def test_the_kernel_says_who_connects(data: Path) -> None:
    own = pwd.getpwuid(os.geteuid()).pw_name
    async with EmbeddedPostgres(data, extra=QUICK):
        rules = lines_of(data / "postgres" / "pg_hba.conf")
        names = lines_of(data / "postgres" / "pg_ident.conf")
    assert rules == ['local "triptych" "triptych" peer map=triptych']
    assert names == [f'triptych "{own}" "triptych"']


def connect_as(account: str, folder: Path) -> str:
    """What psql says when this account of the system connects; root only."""
    entry = pwd.getpwnam(account)
    binaries = make_reachable(find_binaries())
    return subprocess.run(
        [binaries.program("psql"), "-h", str(folder), "-U", "triptych", "-c", "SELECT 1"],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        user=entry.pw_uid,
        group=entry.pw_gid,
        extra_groups=[],
    ).stderr


async def test_another_account_is_kept_out_twice(data: Path) -> None:
    """By the socket's folder, and by the server even where that stands open.

    Without root nobody else can be played; the same two walls are then looked at instead.
    """
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        folder = socket_folder(server.dsn)
        if not ROOT:
            assert folder.stat().st_mode & 0o077 == 0
            (rule,) = lines_of(data / "postgres" / "pg_hba.conf")
            assert " peer " in rule
            return
        assert "Permission denied" in await asyncio.to_thread(connect_as, "daemon", folder)
        folder.chmod(0o711)
        (folder / SOCKET).chmod(0o777)
        said = await asyncio.to_thread(connect_as, "daemon", folder)
        assert "Peer authentication failed" in said
        folder.chmod(0o700)


@pytest.mark.parametrize("planted", ["open", "link", "file"])
async def test_a_socket_folder_that_somebody_planted_is_refused(
    tmp_path: Path, planted: str
) -> None:
    data = provide_cluster(tmp_path / ("long" * 50))
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        folder = socket_folder(server.dsn)
    if planted == "open":
        folder.mkdir()
        folder.chmod(0o755)
    elif planted == "link":
        folder.symlink_to(tmp_path)
    else:
        folder.touch()
    try:
        refused = EmbeddedPostgres(data, extra=QUICK)
        with pytest.raises(PostgresServerError, match=f"{folder.name}.* Remove it"):
            await refused.start()
        assert not refused.running()
    finally:
        folder.rmdir() if planted == "open" else folder.unlink()


# --- The programs -----------------------------------------------------------------------------


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    """The wheel's Postgres in a place that only its owner can enter."""
    install = find_binaries().folder.parent
    site = tmp_path / "site-packages"
    for part in ("bin", "lib", "share"):
        shutil.copytree(install / part, site / install.parent.name / install.name / part)
    for libraries in install.parent.parent.glob(f"{install.parent.name}.libs"):
        shutil.copytree(libraries, site / libraries.name)
    site.chmod(0o700)
    return site / install.parent.name / install.name / "bin"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every account can enter, unlike pytest's."""
    folder = Path(
        subprocess.check_output(["mktemp", "-d", "/tmp/triptych-test-XXXXXX"], text=True).strip()
    )
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def test_programs_are_copied_once_and_completely(hidden: Path, open_folder: Path) -> None:
    cache = open_folder / "cache"
    cache.mkdir()
    (cache / "partial-killed").mkdir()
    binaries = find_binaries(hidden)

    copy = make_reachable(binaries, cache=cache)

    assert find_binaries(copy.folder).version == binaries.version
    places = sorted(cache.iterdir())
    assert [place.name for place in places] == ["lock", copy.folder.relative_to(cache).parts[0]]
    assert {mode(path) for path in places[1].rglob("*")} == {0o755, 0o644}
    made = places[1].stat()
    assert make_reachable(binaries, cache=cache) == copy
    assert places[1].stat() == made
    assert make_reachable(copy, cache=cache) == copy


def test_a_cache_that_others_can_write_is_refused(hidden: Path, open_folder: Path) -> None:
    cache = open_folder / "cache"
    cache.mkdir()
    cache.chmod(0o777)

    with pytest.raises(PostgresServerError, match="Remove it"):
        make_reachable(find_binaries(hidden), cache=cache)


async def test_programs_that_the_servers_account_cannot_reach(
    data: Path, hidden: Path, open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reachable(binaries: Any) -> Any:
        return make_reachable(binaries, cache=open_folder / "cache")

    monkeypatch.setattr(server_module, "make_reachable", reachable)

    async with EmbeddedPostgres(data, binaries=hidden, extra=QUICK) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        command = Path(f"/proc/{server.pid}/cmdline").read_text().partition("\0")[0]
    assert Path(command).is_relative_to(open_folder / "cache" if ROOT else hidden)
    assert mode(hidden.parents[2]) == 0o700


def test_a_folder_without_programs_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(PostgresServerError, match=r"does not run.*TRIPTYCH_POSTGRES_BIN"):
        find_binaries(tmp_path)


def test_an_older_cluster_goes_on_with_its_own_programs() -> None:
    newest = find_binaries()
    assert newest.major >= 18
    assert find_binaries(major=16).major == 16
    assert find_binaries(major=9) == newest
