"""The command line as its users have it: a process, its exit code, one clear line."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.support.cli_process import Cli, up, up_process
from tests.support.data_folder import provide
from tests.support.picture_server import serve_pictures, write_manifest
from triptych.database.session import Database
from triptych.embedded.server import read_dsn
from triptych.errors import DatabaseUnavailable

pytestmark = pytest.mark.integration


async def test_run_commits_and_the_folder_can_be_read_afterwards(cli: Cli, tmp_path: Path) -> None:
    async with serve_pictures() as base:
        source = write_manifest(tmp_path, base, "nike", 55)
        run = await cli("run", "nike", "--source", source)
    assert run.code == 0, run.err
    assert "54 added" in run.out
    status = await cli("status", "--json")
    (brand,) = status.json()["brands"]
    assert (brand["name"], brand["assets"]) == ("nike", 54)
    failures = await cli("failures", "nike", "--json")
    (group,) = failures.json()["items"]
    assert (group["reason"], group["count"]) == ("not_found", 1)
    assert group["redrive"] == "if the file is there again"
    assert "Will a redrive help? if the file is there again" in (await cli("failures", "nike")).out
    first = (await cli("assets", "nike", "--limit", "30", "--json")).json()
    second = (
        await cli("assets", "nike", "--after", first["next"], "--limit", "30", "--json")
    ).json()
    assert len({asset["url"] for asset in first["items"] + second["items"]}) == 54
    assert (first["total"], second["total"], second["next"]) == (54, 54, None)
    assert "embedding" not in first["items"][0]
    for command in (["status"], ["status", "nike"], ["failures", "nike"], ["assets", "nike"]):
        shown = await cli(*command)
        assert (shown.code, shown.err) == (0, "")
        assert "not_found" in shown.out or "nike" in shown.out
    exported = await cli("export", "nike", "--format", "csv", "--to", str(tmp_path / "out"))
    assert (exported.code, exported.err) == (0, ""), "no worker runs, so it does the work itself"
    assert (tmp_path / "out" / "nike.csv").read_text().count("\n") == 55
    reported = await cli("report", "nike", "--to", str(tmp_path / "report"), "--json")
    assert str(tmp_path / "report" / "report.html") in reported.json()["files"]
    unknown = await cli("redrive", "nike", "--reason", "bad_luck")
    assert unknown.code == 1
    assert "--reason: There is no reason 'bad_luck'" in unknown.err
    assert (await cli("redrive", "nike", "--reason", "too_large")).code == 1
    redriven = (await cli("redrive", "nike", "--reason", "not_found", "--json")).json()
    assert (redriven["state"], redriven["expected"]) == ("active", 1)


async def test_rows_are_counted_and_those_without_a_url_are_shown(cli: Cli, tmp_path: Path) -> None:
    elsewhere = Cli(tmp_path / "elsewhere")
    path = tmp_path / "variants.csv"
    async with serve_pictures() as base:
        path.write_text(
            f"Image Src,SKU\n{base}/x/1.png,S1\n{base}/x/1.png,S2\n,S3\n{base}/x/2.png,S4\n"
        )
        check = await elsewhere("check", f"manifest:{path}")
        assert (check.code, check.err) == (0, "")
        assert "4 read = 2 items + 1 merged + 1 refused" in check.out
        assert not elsewhere.data.exists(), "a check needs no database"
        run = await cli("run", "nike", "--source", f"manifest:{path}")
    assert (run.code, run.err) == (0, "")
    assert "4 read = 2 items + 1 merged + 1 refused" in run.out
    failures = await cli("failures", "nike", "--json")
    assert failures.json()["refused_rows"] == {
        "items": [{"place": "line 4", "problem": "There is no URL in Image Src."}],
        "count": 1,
    }
    assert "1 rows refused" in (await cli("failures", "nike")).out


async def test_a_check_of_no_list_is_one_clear_line(reading: Cli, tmp_path: Path) -> None:
    (tmp_path / "photo.csv").write_bytes(b"\xff\xd8\xff picture")
    check = await reading("check", f"manifest:{tmp_path / 'photo.csv'}")
    assert (check.code, check.out) == (1, "")
    assert check.err == "error: photo.csv: It is a JPEG picture, not a list. Give a list of URLs.\n"


async def test_run_exits_1_when_it_does_not_commit(cli: Cli) -> None:
    run = await cli("run", "nike", "--source", "manifest:/nowhere.csv", "--json")
    last = json.loads(run.out.splitlines()[-1])
    assert (run.code, last["state"]) == (1, "failed")
    assert "There is no file /nowhere.csv" in last["reason"]


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with an empty database, for commands that change nothing in it."""
    data = tmp_path_factory.mktemp("unchanged") / "data"
    provide(data)
    return data


@pytest.fixture
def reading(unchanged: Path) -> Cli:
    """The command on `unchanged`."""
    return Cli(unchanged)


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["run", "a/b", "--source", "manifest:x.csv"], 1, "error: brand: A brand's name must not"),
        (["run", "nike", "--source", "urls"], 2, "error: --source: 'urls' must be written"),
        (["status", "nobody"], 1, "error: There is no brand or run 'nobody'."),
        (["worker", "paint"], 1, "error: PHASE: There is no phase 'paint'."),
        (["assets", "nike", "--after", "xyz"], 1, "error: --after: Not a cursor of this listing."),
        (["pause", "nobody"], 1, "error: There is no brand or run 'nobody'."),
    ],
)
async def test_errors_are_one_line_with_the_remedy(
    reading: Cli, args: list[str], code: int, line: str
) -> None:
    result = await reading(*args)
    assert result.code == code
    (only,) = result.err.splitlines()
    assert only.startswith(line)
    assert only.rstrip().endswith(".")


async def test_debug_shows_the_trace(reading: Cli) -> None:
    result = await reading("status", "nobody", "--debug")
    assert result.code != 0
    assert "Traceback" in result.err


async def test_settings_tell_values_origins_and_no_secret(reading: Cli) -> None:
    reading.env["TRIPTYCH_SOURCE_TOKEN"] = "s3cret"
    reading.env["TRIPTYCH_DATABASE_URL"] = "postgresql://me:s3cret@db/triptych"
    result = await reading("settings", "--json")
    shown = result.json()
    assert shown["embedder"] == {"value": "none", "from": "environment"}
    assert shown["flush_items"]["from"] == "default"
    assert shown["database_url"]["value"] == "postgresql://…@db/triptych"
    assert "s3cret" not in result.out + (await reading("settings")).out


async def test_a_database_that_is_away_is_one_clear_line(reading: Cli) -> None:
    reading.env["TRIPTYCH_DATABASE_URL"] = "postgresql://me:s3cret@127.0.0.1:1/triptych"
    result = await reading("status")
    assert result.code == 1
    (only,) = result.err.splitlines()
    assert only.startswith("error: The database does not answer")
    assert "TRIPTYCH_DATABASE_URL" in only
    assert "s3cret" not in only


async def test_doctor_finds_what_is_wrong(reading: Cli) -> None:
    well = await reading("doctor", "--json")
    assert well.code == 0
    assert {finding["what"]: finding["ok"] for finding in well.json()} == {
        "database": True,
        "role": True,
        "secrets": True,
        "reads": True,
        "objects": True,
        "assets": True,
        "embedder": True,
        "source": True,
        "sandbox": True,
        "keys": True,
    }
    database = next(finding["says"] for finding in well.json() if finding["what"] == "database")
    assert re.search(r"schema level 0\d{3}, oldest compatible code 0\d{3}, queues exist", database)
    reading.env["TRIPTYCH_EMBEDDER"] = "/nowhere.onnx"
    ill = await reading("doctor")
    assert ill.code == 1
    assert "TRIPTYCH_EMBEDDER: There is no file /nowhere.onnx." in ill.out


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("TRIPTYCH_EMBEDDER", "/nowhere.onnx", "There is no file /nowhere.onnx."),
        ("TRIPTYCH_STORE_URL", "file:///dev/null/objects", "cannot be used"),
        ("TRIPTYCH_POSTGRES_BIN", "/nowhere", "/nowhere"),
    ],
)
async def test_up_checks_its_wiring_before_it_is_up(
    reading: Cli, variable: str, value: str, says: str
) -> None:
    reading.env[variable] = value
    result = await reading("up")
    assert result.code != 0
    (only,) = result.err.splitlines()
    assert only.startswith("error: ")
    assert says in only


async def test_migrate_twice(new_cli: Cli) -> None:
    assert (await new_cli("migrate")).code == 0
    again = await new_cli("migrate", "--json")
    assert again.json() == {"applied": []}
    assert (await new_cli("migrate", "--skip-long")).out == "Nothing to apply.\n"


async def test_up_serves_what_is_submitted_and_stops_cleanly(new_cli: Cli, tmp_path: Path) -> None:
    async with serve_pictures() as base:
        source = write_manifest(tmp_path, base, "nike", 40)
        async with up_process(new_cli) as (process, _):
            second = await new_cli("up")
            assert second.code == 1
            assert str(process.pid) in second.err
            watched = await new_cli("submit", "nike", "--source", source, "--watch", "--json")
            states = [json.loads(line) for line in watched.out.splitlines()]
            assert watched.code == 0
            assert (states[-1]["state"], states[-1]["ai_state"]) == ("committed", "done")
            versions = [state["version"] for state in states]
            assert versions == sorted(set(versions))
            depths = (await new_cli("status", "--json")).json()["queues"]
            assert all(depth["in_flight"] == 0 for depth in depths)
        assert process.returncode == 0
    with pytest.raises(DatabaseUnavailable):
        await Database(read_dsn(new_cli.data)).fetch("select 1")


async def test_g4_killed_up_leaves_a_folder_that_goes_on(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRIPTYCH_DISPATCH_WINDOW"] = "5"
    cli.env["TRIPTYCH_VISIBILITY_S"] = "3"
    cli.env["TRIPTYCH_QUIET_S"] = "1"
    cli.env["TRIPTYCH_RESEND_S"] = "1"
    # So that the run is still active when it is followed: 150 pictures take seven seconds.
    cli.env["TRIPTYCH_HOST_RATE"] = "20"
    async with serve_pictures() as base:
        source = write_manifest(tmp_path, base, "nike", 150)
        async with up_process(cli) as (process, _):
            submitted = (await cli("submit", "nike", "--source", source, "--json")).json()
            process.kill()
            await process.wait()
        async with up(cli):
            watched = await cli("submit", "nike", "--watch", "--json")
            last = json.loads(watched.out.splitlines()[-1])
    assert (last["id"], last["state"], last["done"]) == (submitted["id"], "committed", 147)
