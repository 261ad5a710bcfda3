"""Runs on the command line: of URLs that it names, listed, and what it says of a stalled one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_process import Cli
from tests.support.commands import DatabaseCommands, log_apart
from tests.support.picture_server import serve_pictures

pytestmark = pytest.mark.integration


@pytest.fixture
def commands(migrated_dsn: str, tmp_path: Path) -> DatabaseCommands:
    return DatabaseCommands(migrated_dsn, tmp_path / "data")


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    with log_apart():
        yield


def test_runs_are_listed_and_a_stalled_one_says_that_no_worker_is_there(
    commands: DatabaseCommands, tmp_path: Path
) -> None:
    source = tmp_path / "urls.csv"
    source.write_text("brand,url\nnike,https://x.example/1.png\n")
    commands.env["TRIPTYCH_SOURCE_FOLDERS"] = str(tmp_path)
    opened = commands("submit", "nike", "--source", str(source), "--json").json()
    assert commands("runs", "--stalled", "--json").json() == {"items": []}
    (run,) = commands("runs", "--state", "active", "--json").json()["items"]
    assert (run["id"], run["stalled"]) == (opened["id"], False)

    commands.env["TRIPTYCH_STALLED_S"] = "0.001"
    (stalled,) = commands("runs", "--stalled", "--brand", "nike", "--json").json()["items"]
    assert (stalled["id"], stalled["stalled"], stalled["state"]) == (opened["id"], True, "active")
    assert opened["id"] in commands("runs", "--stalled").out.replace("\n", "")
    shown = commands("status", "nike")
    assert "stalled nothing has moved since" in shown.out
    assert "no worker of the phase gather has been seen in the last hour" in shown.out
    assert "triptych worker" in shown.out
    assert "1 stalled" in commands("doctor").out

    commands("pause", "nike")
    assert commands("runs", "--stalled").out.strip() == "No run is stalled."
    refused = commands("runs", "--state", "stalled")
    assert refused.code == 1
    assert "There is no state 'stalled'." in refused.err


async def test_urls_are_a_runs_source_that_outlives_the_process(cli: Cli) -> None:
    async with serve_pictures() as base:
        urls = [f"{base}/x/1.png", f"{base}/x/1.png", f"{base}/x/49.png", f"{base}/x/2.png"]
        # No worker is there, and the server that took them ends with the command.
        submitted = (await cli("submit", "nike", *urls, "--json")).json()
        assert (submitted["source"].partition(":")[0], submitted["sealed"]) == ("urls", False)
        run = await cli("run", "nike")
        assert (run.code, run.out.count("4 read = 3 items + 1 merged + 0 refused")) == (0, 1), run
        assert submitted["id"] in run.out
        redriven = await cli("redrive", "nike", "--reason", "not_found", "--json")
        assert (redriven.json()["source"], redriven.json()["expected"]) == (submitted["source"], 1)
        await cli("cancel", "nike")
        again = await cli("run", "nike", "--json")
        assert '"kept":2' in again.out.splitlines()[-1], "the brand's source is these URLs"


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["https://x/1.png", "--source", "manifest:x.csv"], "URL: There is a source, too"),
        (["https://x/1.png", "x.png"], "URL 2: 'x.png' is no URL"),
        (["https://x/feed.CSV?v=1"], "URL 1: https://x/feed.CSV?… is a list, not a picture."),
    ],
)
async def test_what_is_no_urls_is_refused(new_cli: Cli, args: list[str], says: str) -> None:
    refused = await new_cli("submit", "nike", *args)
    assert refused.code == 1
    assert says in refused.err
    assert not new_cli.data.exists()
