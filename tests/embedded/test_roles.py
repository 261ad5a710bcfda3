"""The application's role is no superuser, and nobody can connect as the one that there is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import pytest
from structlog.testing import capture_logs

from tests.support.data_folder import MADE_S, provide, provide_cluster
from tests.support.embedded import QUICK, alive, ask, children
from tests.support.postgres import stopped_cluster
from tests.support.superuser_cluster import superuser_cluster
from tests.support.waiting import until_true
from triptych.database.migrate import migrate
from triptych.database.migration import migrations
from triptych.database.schema import check_schema
from triptych.database.session import Database
from triptych.embedded import roles as roles_module
from triptych.embedded.cluster import ADMIN, ROLE
from triptych.embedded.data_folder import POSTGRES, DataFolder
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.roles import MARK
from triptych.embedded.server import EmbeddedPostgres

pytestmark = pytest.mark.integration

OWNED_BY_SUPERUSER = """
with members as (select objid from pg_depend where deptype = 'e')
select coalesce(array_agg(what order by what), '{}') from (
    select 'schema ' || nspname as what from pg_namespace
    where nspowner = 10 and nspname !~ '^pg_' and nspname <> 'information_schema'
    union all select 'relation ' || oid::regclass from pg_class
    where relowner = 10 and relnamespace in (select oid from own) and oid not in (table members)
    union all select 'function ' || oid::regprocedure from pg_proc
    where proowner = 10 and pronamespace in (select oid from own) and oid not in (table members)
    union all select 'type ' || oid::regtype from pg_type
    where typowner = 10 and typnamespace in (select oid from own) and oid not in (table members)
      and coalesce((select typarray from pg_type e where e.typarray = pg_type.oid and e.oid in
                    (table members)), 0) = 0
) found
""".replace(
    "with members",
    "with own as (select oid from pg_namespace where nspname in ('public', 'pgmq', 'theirs')),\n"
    "members",
)
"""What is left to the superuser, beside the system's own and the members of extensions."""

THEIRS = """
create schema theirs;
create type theirs.mood as enum ('fine');
create type theirs.pair as (a integer, b text);
create domain theirs.few as integer check (value < 5);
create type theirs.span as range (subtype = integer);
create table theirs.numbered (id serial, other bigint generated always as identity, v vector(3));
create table theirs.parted (n integer) partition by range (n);
create table theirs.part partition of theirs.parted for values from (0) to (9);
create sequence theirs."Odd name";
create view theirs.seen as select 1 as n;
create materialized view theirs.kept as select 1 as n;
create procedure theirs.act(x integer) language sql as 'select 1';
create function theirs.row_of(theirs.numbered) returns integer language sql as 'select 1';
create aggregate theirs.total (integer) (sfunc = int4pl, stype = integer);
insert into theirs.numbered (v) values ('[1,2,3]');
"""
"""One of each kind of object that may be in an older database."""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder with a database of the test's own."""
    return provide_cluster(tmp_path / "data")


RIGHTS = """
select rolsuper or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls
       or pg_has_role('pg_execute_server_program', 'member')
       or pg_has_role('pg_read_server_files', 'member')
       or pg_has_role('pg_write_server_files', 'member')
from pg_roles where rolname = current_user
"""
OWNER = "select datdba::regrole::text from pg_database where datname = current_database()"
SUPERUSERS = "select array_agg(rolname || ' ' || rolcanlogin) from pg_roles where rolsuper"


ATTACKS = (
    "copy (select 1) to program 'touch /tmp/triptych-was-here'",
    "copy own from program 'id'",
    "copy own from '/etc/passwd'",
    "copy (select 1) to '/tmp/triptych-was-here'",
    "select pg_read_file('/etc/passwd')",
    "select pg_read_binary_file('/etc/passwd')",
    "select pg_ls_dir('/')",
    "select lo_import('/etc/passwd')",
    "alter system set archive_command = 'id'",
    "select pg_reload_conf()",
    "create function run(cstring) returns integer language c as '/lib/libc.so.6', 'system'",
    "load '/tmp/own.so'",
    "create role another superuser",
    f"alter role {ROLE} superuser",
    f"alter role {ADMIN} login",
    f"set role {ADMIN}",
    f"set session authorization {ADMIN}",
    f"grant {ADMIN} to {ROLE}",
    "grant pg_execute_server_program to current_user",
    "create database another",
    "update pg_authid set rolsuper = true",
    "set session_preload_libraries = 'own'",
    "set session_replication_role = replica",
)
"""What a superuser may do, and whoever gets a statement of his own into the database must not."""


async def refused(connection: asyncpg.Connection, statement: str) -> bool:
    try:
        await connection.execute(statement)
    except asyncpg.InsufficientPrivilegeError:
        return True
    return False


async def check_roles(dsn: str) -> None:
    """Check that the role has its database, and nothing of the server's."""
    connection = await asyncpg.connect(dsn)
    try:
        assert await connection.fetchval("select current_user::text") == ROLE
        assert await connection.fetchval(RIGHTS) is False
        assert await connection.fetchval(OWNER) == ROLE
        assert await connection.fetchval(SUPERUSERS) == [f"{ADMIN} false"]
        await connection.execute("create temporary table own (t text)")
        for attack in ATTACKS:
            assert await refused(connection, attack), attack
    finally:
        await connection.close()
    assert not Path("/tmp/triptych-was-here").exists()


async def test_the_role_is_no_superuser_and_owns_its_database(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "data").path
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        await check_roles(server.dsn)
        database = Database(server.dsn)
        assert sorted(await migrate(database)) == [step.name for step in migrations()]
        await database.close()
        assert await ask(server.dsn, OWNED_BY_SUPERUSER) == []


async def test_what_maintains_a_database_still_works(tmp_path: Path) -> None:
    data = tmp_path / "data"
    provide(data)
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        for statement in (
            "vacuum (analyze) runs",
            "analyze",
            "reindex table runs",
            "checkpoint",
            "select count(*) from pg_stat_activity",
            "select pg_database_size(current_database())",
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'x'",
        ):
            await ask(server.dsn, statement)


@pytest.mark.parametrize("role", [ADMIN, "postgres"])
async def test_nobody_connects_as_the_superuser(data: Path, role: str) -> None:
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        with pytest.raises(
            asyncpg.InvalidAuthorizationSpecificationError, match=r"no pg_hba\.conf"
        ):
            await ask(server.dsn.replace(f"//{ROLE}@", f"//{role}@"), "select 1")
        with pytest.raises(
            asyncpg.InvalidAuthorizationSpecificationError, match=r"no pg_hba\.conf"
        ):
            await ask(server.dsn.replace(f"@/{ROLE}?", "@/postgres?"), "select 1")


# --- Clusters of earlier releases ----------------------------------------------------------------


async def make_older(data: Path) -> None:
    """Make a cluster as earlier releases did, with the whole schema and objects of every kind."""
    async with superuser_cluster(data) as server:
        assert await ask(server.dsn, "select rolsuper from pg_roles where rolname = current_user")
        database = Database(server.dsn)
        await migrate(database)
        await database.close()
        connection = await asyncpg.connect(server.dsn)
        await connection.execute(THEIRS)
        await connection.close()
        assert len(await ask(server.dsn, OWNED_BY_SUPERUSER)) > 50


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with such a cluster, to be copied."""
    data = DataFolder(tmp_path_factory.mktemp("older") / "data").path
    with ThreadPoolExecutor(1) as thread:  # A loop of its own.
        thread.submit(asyncio.run, make_older(data)).result(MADE_S)
    return data


@pytest.fixture
def older(made: Path, tmp_path: Path) -> Path:
    """A data folder with a cluster of an earlier release."""
    data = DataFolder(tmp_path / "data").path
    subprocess.run(["cp", "-a", made / POSTGRES, data / POSTGRES], check=True, timeout=MADE_S)
    return data


async def check_moved(data: Path) -> None:
    """Start it, and check that all of it is the role's, which is no superuser any more."""
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        await check_roles(server.dsn)
        assert await ask(server.dsn, OWNED_BY_SUPERUSER) == []
        assert await ask(server.dsn, "select v::text from theirs.numbered") == "[1,2,3]"
        await ask(server.dsn, "drop schema theirs cascade")
        database = Database(server.dsn)
        assert await migrate(database) == []
        await check_schema(database)
        await database.close()


async def test_an_older_cluster_is_moved_over_once(older: Path) -> None:
    with capture_logs() as lines:
        await check_moved(older)
    assert [line["event"] for line in lines] == ["postgres_superuser_taken_away"]

    with capture_logs() as lines:
        async with EmbeddedPostgres(older, extra=QUICK) as server:
            await check_roles(server.dsn)
    assert lines == []


async def test_a_cluster_that_crashed_recovers_and_is_moved_over(older: Path) -> None:
    async with superuser_cluster(older) as server:
        await ask(server.dsn, "create table theirs.late as select 42 as answer")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        await until_true(lambda: not server.running())

    async with EmbeddedPostgres(older, extra=QUICK) as server:
        assert await ask(server.dsn, "select answer from theirs.late") == 42
    await check_moved(older)


async def test_the_superuser_calls_nothing_that_the_application_made(data: Path) -> None:
    """The roles are set again one day: in a database where the application may make functions."""
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        connection = await asyncpg.connect(server.dsn)
        await connection.execute("""
            create function public.format(text, name) returns text language plpgsql as
                $$ begin execute 'alter role triptych superuser'; return 'select 1'; end $$;
            create function public.format(text, name, name) returns text language plpgsql as
                $$ begin execute 'alter role triptych superuser'; return 'select 1'; end $$;
            alter database triptych set search_path = public, pg_catalog;
        """)
        await connection.close()
    (data / "postgres" / MARK).unlink()
    async with EmbeddedPostgres(data, extra=QUICK) as server:
        await check_roles(server.dsn)


async def test_an_older_cluster_that_was_killed_before_it_had_a_database(tmp_path: Path) -> None:
    data = DataFolder(tmp_path / "data").path
    async with superuser_cluster(data):
        pass
    stopped_cluster(data).run("postgres", [f"drop database {ROLE}"])

    async with EmbeddedPostgres(data, extra=QUICK) as server:
        await check_roles(server.dsn)


async def test_a_move_that_fails_changes_nothing_and_is_repeated(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        whole = roles_module._statement()
        broken = whole.replace("end\n$roles$", "perform 1 / 0;\nend\n$roles$")
        assert broken != whole
        patch.setattr(roles_module, "_statement", lambda: broken)
        with pytest.raises(PostgresServerError, match=r"division by zero.*postgres\.log"):
            await EmbeddedPostgres(older, extra=QUICK).start()
    async with superuser_cluster(older) as server:
        assert await ask(server.dsn, "select rolsuper from pg_roles where rolname = current_user")
    await check_moved(older)


async def test_a_move_whose_mark_was_not_written_is_repeated(older: Path) -> None:
    async with EmbeddedPostgres(older, extra=QUICK):
        pass
    (older / "postgres" / MARK).unlink()
    await check_moved(older)


MOVER = """
import asyncio, json, sys
from pathlib import Path
from triptych.embedded import roles
from triptych.embedded.server import EmbeddedPostgres
stand_still = "copy (select 1) to program 'cat > stands_still';\\nperform pg_sleep(600);\\n"
whole = roles._statement()
roles._statement = lambda: whole.replace("end\\n$roles$", stand_still + "end\\n$roles$")
asyncio.run(EmbeddedPostgres(Path(sys.argv[1]), extra=json.loads(sys.argv[2])).start())
"""


@contextmanager
def mover(data: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that moves a cluster over, and stands still when all but the commit is done."""
    command = [sys.executable, "-c", MOVER, str(data), json.dumps(QUICK)]
    with subprocess.Popen(command) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("killed", ["owner", "both"])
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
async def test_a_move_that_is_killed_is_done_by_the_next_start(older: Path, killed: str) -> None:
    with mover(older) as process:
        await until_true((older / "postgres" / "stands_still").exists)
        (session,) = [pid for pid, title in children(process.pid).items() if ROLE in title]
        process.kill()
        process.wait()
        if killed == "both":
            os.kill(session, signal.SIGKILL)

    await check_moved(older)
    assert not alive(session)
