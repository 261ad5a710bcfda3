"""The embedded Postgres against real processes: it keeps what was committed, and its privacy."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from triptych.adapters.postgres import server as server_module
from triptych.adapters.postgres.binaries import find_binaries, make_reachable
from triptych.adapters.postgres.postmaster import LOG_MAX_BYTES
from triptych.adapters.postgres.server import (
    MAX_RESTARTS,
    RESTART_MAX_S,
    RESTART_WINDOW_S,
    EmbeddedPostgres,
    read_dsn,
    restart_delay_s,
)
from triptych.adapters.postgres.sockets import PATH_MAX_BYTES, SOCKET
from triptych.data_folder import DataFolder
from triptych.errors import PostgresServerError

if TYPE_CHECKING:
    from tests.conftest import PostgresServer

ROOT = os.geteuid() == 0
QUICK = {"fsync": "off", "shared_buffers": "32MB"}
"""For tests in which no power fails; SIGKILL takes nothing that the system has been given."""
DEADLINE_S = 60.0

OWNER = """
import asyncio, json, sys
from pathlib import Path
from triptych.adapters.postgres.server import EmbeddedPostgres
from triptych.data_folder import DataFolder
async def main():
    data = Path(sys.argv[1])
    with DataFolder(data).lock():
        async with EmbeddedPostgres(data, extra=json.loads(sys.argv[2])) as server:
            print(server.pid, flush=True)
            await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return DataFolder(tmp_path / "data").path


@contextmanager
def owner(data: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs the server, and may be killed."""
    command = [sys.executable, "-c", OWNER, str(data), json.dumps(QUICK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def ask(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


async def ask_again(dsn: str, query: str) -> Any:
    """Ask until the server answers, as every client does while it is restarted."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            try:
                return await ask(dsn, query)
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.05)


def alive(pid: int) -> bool:
    """True while the process runs; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in {"Z", "X"}


def socket_folder(dsn: str) -> Path:
    return Path(dsn.partition("host=")[2].partition("&")[0])


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# --- What was committed stays ----------------------------------------------------------------


async def test_g4_a_stop_and_a_start_keep_the_data(data: Path) -> None:
    server = EmbeddedPostgres(data, extra=QUICK)
    async with server:
        await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        pid = server.pid
    assert not server.running()
    assert pid is not None
    assert not alive(pid)
    await server.stop()

    await server.start()
    await server.start()
    try:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42
    finally:
        await server.stop()


async def test_g4_nothing_that_a_commit_needs_is_switched_off(data: Path) -> None:
    async with EmbeddedPostgres(data) as server:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "data_checksums"):
            assert await ask(server.dsn, f"SHOW {name}") == "on"
        assert await ask(server.dsn, "SHOW server_encoding") == "UTF8"
        assert await ask(server.dsn, "SHOW TimeZone") == "UTC"
        assert await ask(server.dsn, "SHOW listen_addresses") == ""


COMPUTE = "DO $$ BEGIN FOR i IN 1..2000000000 LOOP PERFORM 1; END LOOP; END $$"


@pytest.mark.parametrize("session", ["SELECT pg_sleep(600)", COMPUTE], ids=["waits", "computes"])
async def test_g4_a_killed_postmaster_is_restarted_with_its_data(data: Path, session: str) -> None:
    """Also while a session computes, which does not notice that its postmaster is gone."""
    with capture_logs() as lines:
        async with EmbeddedPostgres(data, extra=QUICK) as server:
            await ask(server.dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
            busy = asyncio.create_task(ask(server.dsn, session))
            running = f"SELECT count(*) > 0 FROM pg_stat_activity WHERE query = $q${session}$q$"
            async with asyncio.timeout(DEADLINE_S):
                while not await ask(server.dsn, running):
                    await asyncio.sleep(0.01)
            killed = server.pid
            assert killed is not None

            os.kill(killed, signal.SIGKILL)

            with pytest.raises((OSError, asyncpg.PostgresError)):
                await busy
            assert await ask_again(server.dsn, "SELECT answer FROM kept") == 42
            assert server.running()
            assert server.pid != killed
    died = [line for line in lines if line["event"] == "postgres_died"]
    assert [line["code"] for line in died] == [-signal.SIGKILL]


async def test_g4_a_killed_owner_leaves_an_orphan_that_the_next_one_replaces(data: Path) -> None:
    with owner(data) as process:
        assert process.stdout is not None
        orphan = int(await asyncio.to_thread(process.stdout.readline))
        dsn = read_dsn(data)
        await ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert DataFolder(data).owner() == process.pid
        process.kill()
        process.wait()
    assert alive(orphan)
    assert DataFolder(data).owner() is None

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert server.dsn == dsn
        assert not alive(orphan)
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42


async def test_g4_owner_and_postmaster_killed_together(data: Path) -> None:
    with owner(data) as process:
        assert process.stdout is not None
        postmaster = int(await asyncio.to_thread(process.stdout.readline))
        dsn = read_dsn(data)
        await ask(dsn, "CREATE TABLE kept AS SELECT 42 AS answer")
        computing = asyncio.create_task(ask(dsn, COMPUTE))
        async with asyncio.timeout(DEADLINE_S):
            while not await ask(dsn, "SELECT max(query) FROM pg_stat_activity WHERE query ~ '^DO'"):
                await asyncio.sleep(0.01)
        process.kill()
        os.kill(postmaster, signal.SIGKILL)
        process.wait()

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert await ask(server.dsn, "SELECT answer FROM kept") == 42
    with pytest.raises((OSError, asyncpg.PostgresError)):
        await computing


async def test_an_owner_killed_inside_initdb_does_not_poison_the_folder(data: Path) -> None:
    with owner(data) as process:
        await until(lambda: any(data.glob("postgres.new-*/PG_VERSION")))
        process.kill()
        process.wait()
    assert not (data / "postgres").exists()

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert await ask(server.dsn, "SELECT 1") == 1
        assert list(data.glob("postgres.new-*")) == []


async def test_a_recorded_pid_that_is_somebody_elses_now_is_left_alone(data: Path) -> None:
    """As after the restart of a container, where the same few pids come again."""
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        await ask(server.dsn, "SELECT 1")
    cluster = data / "postgres"
    account = cluster.stat()
    user = {"user": account.st_uid, "group": account.st_gid} if ROOT else {}
    with subprocess.Popen(["sleep", "600"], cwd="/", **user) as stranger:
        try:
            pidfile = cluster / "postmaster.pid"
            pidfile.write_text(f"{stranger.pid}\n{cluster}\n1700000000\n5432\n/tmp\n\n1 1\nready\n")
            os.chown(pidfile, account.st_uid, account.st_gid)
            pidfile.chmod(0o600)

            async with EmbeddedPostgres(data, extra=QUICK) as server:
                assert await ask(server.dsn, "SELECT 1") == 1
            assert stranger.poll() is None
        finally:
            stranger.kill()


# --- Starting, stopping, giving up -----------------------------------------------------------


async def test_a_cancelled_start_leaves_no_process(data: Path) -> None:
    server = EmbeddedPostgres(data, extra=QUICK)
    starting = asyncio.create_task(server.start())
    await until(server.running)
    pid = server.pid
    assert pid is not None

    starting.cancel()

    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not server.running()
    assert not alive(pid)


def test_ctrl_c_does_not_reach_the_server_before_its_clients_are_done(
    postgres_server: PostgresServer,
) -> None:
    pid = postgres_server.embedded.pid
    assert pid is not None
    assert os.getsid(pid) == pid


async def test_a_setting_it_refuses_is_one_line_with_the_log(data: Path) -> None:
    server = EmbeddedPostgres(data, extra={**QUICK, "shared_buffers": "many"})

    with pytest.raises(PostgresServerError, match=r"FATAL: .*shared_buffers.*postgres\.log\.$"):
        await server.start()
    assert not server.running()


async def test_a_cluster_that_vanishes_is_not_made_anew(data: Path) -> None:
    server = EmbeddedPostgres(data, extra=QUICK)
    await server.start()
    try:
        assert server.pid is not None
        (data / "postgres").rename(data / "elsewhere")
        os.kill(server.pid, signal.SIGKILL)

        with pytest.raises(PostgresServerError, match="is gone"):
            await asyncio.wait_for(server.watch(), DEADLINE_S)
        assert not (data / "postgres").exists()
    finally:
        await server.stop()


async def test_watching_ends_with_a_stop(data: Path) -> None:
    server = EmbeddedPostgres(data, extra=QUICK)
    await server.start()
    watching = asyncio.create_task(server.watch())
    await asyncio.sleep(0)

    await server.stop()

    await asyncio.wait_for(watching, DEADLINE_S)


@pytest.mark.parametrize("content", ["12\n", None], ids=["another version", "no cluster"])
async def test_a_folder_that_is_not_ours_is_refused_and_not_touched(
    data: Path, content: str | None
) -> None:
    cluster = data / "postgres"
    cluster.mkdir()
    (cluster / "precious").write_text("data")
    if content is not None:
        (cluster / "PG_VERSION").write_text(content)
    before = {path: path.stat() for path in (cluster, *cluster.iterdir())}

    with pytest.raises(PostgresServerError) as refused:
        await EmbeddedPostgres(data).start()

    assert ("is not a Postgres cluster" if content is None else "Postgres 12") in str(refused.value)
    assert refused.value.remedy
    assert {path: path.stat() for path in (cluster, *cluster.iterdir())} == before


async def test_a_large_log_is_set_aside(data: Path) -> None:
    log = data / "log" / "postgres.log"
    log.parent.mkdir()
    log.write_bytes(b"x" * (LOG_MAX_BYTES + 1))

    async with EmbeddedPostgres(data, extra=QUICK):
        assert log.stat().st_size < LOG_MAX_BYTES
    assert log.with_suffix(".log.1").stat().st_size == LOG_MAX_BYTES + 1


def test_restarts_back_off_and_are_capped_per_time() -> None:
    assert restart_delay_s([], 1000.0) < 1.0
    for count in range(MAX_RESTARTS):
        assert 0 < restart_delay_s([1000.0] * count, 1000.0) <= RESTART_MAX_S * 1.5
    full = [1000.0 + number for number in range(MAX_RESTARTS)]
    assert restart_delay_s(full, 1020.0) == pytest.approx(1000.0 + RESTART_WINDOW_S - 1020.0)
    assert restart_delay_s(full, 1000.0 + 2 * RESTART_WINDOW_S) < 1.0


async def test_other_processes_read_the_address(data: Path) -> None:
    with pytest.raises(PostgresServerError, match="triptych up"):
        read_dsn(data)
    with pytest.raises(PostgresServerError, match="not started"):
        _ = EmbeddedPostgres(data).dsn

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        assert read_dsn(data) == server.dsn


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
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("CREATE TEMP TABLE seen (name text)")
        await connection.execute("COPY seen FROM PROGRAM 'env | cut -d= -f1'")
        names = {row["name"] for row in await connection.fetch("SELECT name FROM seen")}
        await connection.close()
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


async def test_folders_socket_and_files_are_private(data: Path) -> None:
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        folder = socket_folder(server.dsn)
        cluster = data / "postgres"
        assert mode(folder) == mode(folder / SOCKET) == mode(cluster) == mode(data) == 0o700
        assert folder.stat().st_uid == cluster.stat().st_uid
        assert mode(data / "log" / "postgres.log") == 0o600
        assert not [path for path in cluster.rglob("*") if path.lstat().st_mode & 0o077]


async def test_the_kernel_says_who_connects(postgres_server: PostgresServer) -> None:
    connection = await asyncpg.connect(postgres_server.embedded.dsn)
    rules = await connection.fetch("SELECT type, auth_method, error FROM pg_hba_file_rules")
    names = await connection.fetch("SELECT sys_name, pg_username FROM pg_ident_file_mappings")
    await connection.close()
    assert [tuple(rule) for rule in rules] == [("local", "peer", None)]
    assert [tuple(name) for name in names] == [(pwd.getpwuid(os.geteuid()).pw_name, "triptych")]


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
            rules = await ask(
                server.dsn, "SELECT string_agg(auth_method, ' ') FROM pg_hba_file_rules"
            )
            assert rules == "peer"
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
    data = DataFolder(tmp_path / ("long" * 50)).path
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
