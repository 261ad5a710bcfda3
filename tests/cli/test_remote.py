"""The command line against a server: the same answers and errors as in one process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from tests.support import tiny_clip
from tests.support.api_server import HOST, serving_with_keys
from tests.support.cli_process import Result
from tests.support.commands import Commands, DatabaseCommands, log_apart
from tests.support.picture_server import write_manifest
from tests.support.postgres import PostgresServer
from tests.support.served_api import ServedApi, served_api
from triptych.cli.command_line import app
from triptych.client import open_client
from triptych.errors import (
    BrandNotFound,
    Conflict,
    RunNotFound,
    ServerUnavailable,
    SettingsError,
    Unauthenticated,
)
from triptych.model import AiState, RunState
from triptych.runtime.asgi_server import bind

pytestmark = [pytest.mark.integration, pytest.mark.xdist_group("remote")]

PICTURES = 30


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a server's data."""
    return tmp_path_factory.mktemp("remote")


@pytest.fixture(scope="module")
def model(folder: Path) -> str:
    return str(tiny_clip.clip(folder / "clip"))


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer, migrated_template: str, folder: Path, model: str
) -> Iterator[ServedApi]:
    with served_api(postgres_server, migrated_template, folder, embedder=model) as served:
        yield served


@pytest.fixture
def here(served: ServedApi, folder: Path, model: str) -> DatabaseCommands:
    """Commands beside the server's database."""
    return DatabaseCommands(served.dsn, folder, embedder=model)


@pytest.fixture
def afar(served: ServedApi) -> Commands:
    return Commands(served.url)


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    with log_apart():
        yield


def both(here: DatabaseCommands, afar: Commands, *args: str) -> tuple[Result, Result]:
    """Run a command beside the database, and from afar."""
    ran, answered = here(*args), afar(*args)
    there = Result(answered.exit_code, answered.stdout, answered.stderr)
    assert (ran.code, ran.err) == (there.code, there.err)
    return ran, there


def test_commands_answer_alike_here_and_from_afar(
    served: ServedApi, here: DatabaseCommands, afar: Commands, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, served.pictures, "nike", PICTURES)
    bringing = ("submit", "nike", "--source", source, "--watch", "--json")
    run = CliRunner().invoke(app, bringing, env={"TRIPTYCH_SERVER": served.url})
    states = [json.loads(line) for line in run.stdout.splitlines()]
    assert (run.exit_code, states[-1]["state"], states[-1]["ai_state"]) == (0, "committed", "done")
    for args in (["status", "nike"], ["failures", "nike"], ["insights", "nike"]):
        ours, theirs = both(here, afar, *args, "--json")
        assert theirs.json() == ours.json(), args
    ours, theirs = both(here, afar, "check", source, "--json")
    assert theirs.json() == ours.json()
    assert ours.json()["items"] == PICTURES
    ours, theirs = both(here, afar, "status", "--json")
    assert theirs.json()["brands"] == ours.json()["brands"]
    ours, theirs = both(here, afar, "assets", "nike", "--limit", "200", "--json")
    assert theirs.json() == ours.json()
    assert len(ours.json()["items"]) == PICTURES
    first = afar("assets", "nike", "--limit", "20")
    cursor = first.stdout.rsplit("--after ", 1)[1].strip()
    rest = afar.json("assets", "nike", "--after", cursor)
    assert len(rest["items"]) == PICTURES - 20
    wanted = ("search", "red", "--brand", "nike", "--limit", "5", "--json")
    ours, theirs = both(here, afar, *wanted)
    assert theirs.json() == ours.json()
    asset = ours.json()["items"][0]["asset"]["id"]
    ours, theirs = both(here, afar, "redrive", "nike", "--reason", "too_large")
    assert (theirs.code, theirs.err) == (ours.code, ours.err)
    assert theirs.code == 1
    ours, theirs = both(here, afar, "similar", asset, "--brand", "nike", "--json")
    assert theirs.json() == ours.json()
    ours, theirs = both(here, afar, "report", "nike", "--to", str(tmp_path / "report"))
    assert theirs.out == ours.out
    exported = afar("export", "nike", "--to", str(tmp_path / "out"), "--format", "csv")
    assert (tmp_path / "out" / "nike.csv").stat().st_size > 0, exported.output
    again = afar("reembed", "nike", "--watch", "--json")
    assert again.exit_code == 0, again.output


ERRORS = [
    ["status", str(uuid4())],
    ["assets", "nobody"],
    ["submit", "a/b", "--source", "manifest:x.csv"],
    ["similar", "nothing"],
]


def test_errors_from_afar_are_those_of_here(here: DatabaseCommands, afar: Commands) -> None:
    for args in ERRORS:
        ours, _ = both(here, afar, *args)
        assert ours.code != 0, args
        assert ours.err.startswith("error: "), args


async def test_a_client_in_python(served: ServedApi, tmp_path: Path) -> None:
    source = write_manifest(tmp_path, served.pictures, "puma", 5)
    async with open_client(served.url) as client:
        run = await client.start("puma", source=source)
        states = [state async for state in client.watch(run.id)]
        assert (states[-1].state, states[-1].ai_state) == (RunState.COMMITTED, AiState.DONE)
        assert states[-1] == await client.run(run.id)
        assert (await client.brand("puma")).current_run == run.id
        with pytest.raises(Conflict):
            await client.steer(run.id, "cancel")
        with pytest.raises(RunNotFound):
            await client.run(uuid4())
        await client.delete_brand("puma")
        with pytest.raises(BrandNotFound):
            await client.brand("puma")


async def test_a_server_that_is_not_there_does_not_answer() -> None:
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    async with open_client(f"http://127.0.0.1:{port}") as client:
        with pytest.raises(ServerUnavailable, match="does not answer"):
            await client.brands()


async def test_a_key_is_sent_and_a_wrong_one_refused(migrated_dsn: str, tmp_path: Path) -> None:
    async with serving_with_keys(migrated_dsn, tmp_path, allowed_hosts=(HOST,)) as (api, tokens):
        async with open_client(api.url, tokens["reader"]) as client:
            assert await client.brands() == []
        for wrong in (None, "trk_wrong"):
            async with open_client(api.url, wrong) as client:
                with pytest.raises(Unauthenticated):
                    await client.brands()


@pytest.mark.parametrize("server", ["triptych", "ftp://x", "http://", "http://x/api", "http://u@x"])
async def test_what_is_no_server_is_told(server: str) -> None:
    with pytest.raises(SettingsError, match="--server"):
        async with open_client(server):
            pass
