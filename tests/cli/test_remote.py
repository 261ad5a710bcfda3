"""The command line against a server: the same answers and errors as in one process."""

from __future__ import annotations

import json
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support import tiny_clip
from tests.support.cli_process import Cli, Result, up
from tests.support.picture_server import serve_pictures, write_manifest
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

PICTURES = 30


async def both(cli: Cli, url: str, *args: str) -> tuple[Result, Result]:
    """Run a command beside the database, and from elsewhere."""
    away = Cli(cli.data.parent / "away")
    here, there = await cli(*args), await away(*args, "--server", url)
    assert (here.code, here.err) == (there.code, there.err)
    return here, there


async def test_commands_answer_alike_here_and_from_afar(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRIPTYCH_EMBEDDER"] = str(tiny_clip.clip(tmp_path / "clip"))
    async with serve_pictures() as base, up(cli) as url:
        away = Cli(tmp_path / "away")
        away.env["TRIPTYCH_SERVER"] = url
        source = write_manifest(tmp_path, base, "nike", PICTURES)
        run = await away("submit", "nike", "--source", source, "--watch", "--json")
        states = [json.loads(line) for line in run.out.splitlines()]
        assert (run.code, states[-1]["state"], states[-1]["ai_state"]) == (0, "committed", "done")
        for args in (["status", "nike"], ["failures", "nike"], ["insights", "nike"]):
            here, there = await both(cli, url, *args, "--json")
            assert there.json() == here.json(), args
        here, there = await both(cli, url, "check", source, "--json")
        assert there.json() == here.json()
        assert here.json()["items"] == PICTURES
        here, there = await both(cli, url, "status", "--json")
        assert there.json()["brands"] == here.json()["brands"]
        here, there = await both(cli, url, "assets", "nike", "--limit", "200", "--json")
        assert there.json() == here.json()
        assert len(here.json()["items"]) == PICTURES
        first = await away("assets", "nike", "--limit", "20")
        cursor = first.out.rsplit("--after ", 1)[1].strip()
        rest = await away("assets", "nike", "--after", cursor, "--json")
        assert len(rest.json()["items"]) == PICTURES - 20
        wanted = ("search", "red", "--brand", "nike", "--limit", "5", "--json")
        here, there = await both(cli, url, *wanted)
        assert there.json() == here.json()
        asset = here.json()["items"][0]["asset"]["id"]
        here, there = await both(cli, url, "redrive", "nike", "--reason", "too_large")
        assert (there.code, there.err) == (here.code, here.err)
        assert there.code == 1
        here, there = await both(cli, url, "similar", asset, "--brand", "nike", "--json")
        assert there.json() == here.json()
        here, there = await both(cli, url, "report", "nike", "--to", str(tmp_path / "report"))
        assert there.out == here.out
        exported = await away("export", "nike", "--to", str(tmp_path / "out"), "--format", "csv")
        assert (tmp_path / "out" / "nike.csv").stat().st_size > 0, exported.err
        again = await away("reembed", "nike", "--watch", "--json")
        assert again.code == 0, again.err


ERRORS = [
    ["status", str(uuid4())],
    ["assets", "nobody"],
    ["submit", "a/b", "--source", "manifest:x.csv"],
    ["similar", "nothing"],
]


async def test_errors_from_afar_are_those_of_here(cli: Cli) -> None:
    async with up(cli) as url:
        for args in ERRORS:
            here, _ = await both(cli, url, *args)
            assert here.code != 0, args
            assert here.err.startswith("error: "), args


async def test_a_client_in_python(cli: Cli, tmp_path: Path) -> None:
    async with serve_pictures() as base, up(cli) as url:
        source = write_manifest(tmp_path, base, "nike", 5)
        async with open_client(url) as client:
            run = await client.start("nike", source=source)
            states = [state async for state in client.watch(run.id)]
            assert (states[-1].state, states[-1].ai_state) == (RunState.COMMITTED, AiState.DONE)
            assert states[-1] == await client.run(run.id)
            assert (await client.brand("nike")).current_run == run.id
            with pytest.raises(Conflict):
                await client.steer(run.id, "cancel")
            with pytest.raises(RunNotFound):
                await client.run(uuid4())
            await client.delete_brand("nike")
            with pytest.raises(BrandNotFound):
                await client.brand("nike")
    async with open_client(url) as client:
        with pytest.raises(ServerUnavailable, match="does not answer"):
            await client.brands()


async def test_a_key_is_sent_and_a_wrong_one_refused(cli: Cli) -> None:
    token = (await cli("keys", "create", "ci", "--json")).json()["token"]
    cli.env["TRIPTYCH_ALLOWED_HOSTS"] = "triptych.example"
    async with up(cli) as url:
        async with open_client(url, token) as client:
            assert await client.brands() == []
        for wrong in (None, "trk_wrong"):
            async with open_client(url, wrong) as client:
                with pytest.raises(Unauthenticated):
                    await client.brands()


@pytest.mark.parametrize("server", ["triptych", "ftp://x", "http://", "http://x/api", "http://u@x"])
async def test_what_is_no_server_is_told(server: str) -> None:
    with pytest.raises(SettingsError, match="--server"):
        async with open_client(server):
            pass
