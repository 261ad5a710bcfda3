"""A brand that a bad list took half of, brought back from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow
import pyarrow.parquet

from tests.support.cli_process import Cli
from tests.support.data_folder import provide_models
from tests.support.picture_server import serve_pictures
from triptych.model import MARKS


async def last_state(cli: Cli, *args: str, says: str = "") -> Any:
    """Run a command that follows a run to its end; return the run's last state."""
    result = await cli(*args, "--json")
    assert says in result.err
    assert result.code == 0, result.err
    return json.loads(result.out.splitlines()[-1])


async def exported(cli: Cli, folder: Path) -> pyarrow.Table:
    """Export with embeddings; return all but the marks, which each AI phase finds anew."""
    result = await cli("export", "nike", "--format", "parquet", "--to", str(folder), "--json")
    assert result.code == 0, result.err
    (file,) = result.json()["files"]
    table = pyarrow.parquet.read_table(file)
    assert table["embedding"].null_count == 0
    return table.drop_columns(list(MARKS))


async def test_a_bad_list_is_undone(cli: Cli, tmp_path: Path) -> None:
    del cli.env["TRIPTYCH_EMBEDDER"]
    provide_models(cli.data)
    path = tmp_path / "feed.csv"
    async with serve_pictures() as base:
        rows = [f"{base}/x/{n}.png,Shoe {n}\n" for n in range(6)]
        path.write_text("url,title\n" + "".join(rows) + f"{base}/x/0.png,The same shoe\n")
        six = await last_state(cli, "run", "nike", "--source", f"manifest:{path}")
        before = await exported(cli, tmp_path / "before")
        path.write_text("url,title\n" + "".join(rows[:3]))
        three = await last_state(cli, "run", "nike")
        assert (three["state"], three["removed"]) == ("committed", 3)
        assert (await exported(cli, tmp_path / "between")).num_rows == 3

        listed = (await cli("snapshots", "nike", "--json")).json()["items"]
        assert [each["run"] for each in listed] == [three["id"], six["id"]]
        assert "current" in (await cli("snapshots", "nike")).out
        older = await cli("assets", "nike", "--snapshot", six["id"])
        assert "An older snapshot, committed" in older.out
        assert "6 of 6 assets" in older.out
        page = (await cli("assets", "nike", "--snapshot", six["id"], "--json")).json()
        assert (page["total"], len(page["items"])) == (6, 6)
        diff = await cli("diff", "nike", six["id"])
        assert "0 added · 0 changed · 3 removed · 3 kept" in diff.out
        assert f"- {base}/x/5.png" in diff.out
        some = (await cli("diff", "nike", six["id"], three["id"], "--limit", "2", "--json")).json()
        rest = await cli("diff", "nike", six["id"], three["id"], "--after", some["next"], "--json")
        urls = {change["url"] for change in some["items"] + rest.json()["items"]}
        assert urls == {f"{base}/x/{n}.png" for n in (3, 4, 5)}
        none = await cli("diff", "nike", six["id"], "--change", "added", "--json")
        assert none.json()["items"] == []

        restored = await last_state(
            cli,
            "restore",
            "nike",
            six["id"],
            says="3 added · 0 changed · 0 removed · 3 kept",
        )
        assert (restored["kind"], restored["restores"]) == ("restore", six["id"])
        assert (restored["added"], restored["kept"], restored["removed"]) == (3, 3, 0)
        assert restored["ai_state"] == "done"
        after = await exported(cli, tmp_path / "after")
        assert after.to_pylist() == before.to_pylist()
        assert f"snapshot {six['id']}, restored" in (await cli("status", "nike")).out
        found = (await cli("insights", "nike", "--json")).json()
        assert (found["run"], found["ai_state"]) == (restored["id"], "done")
        same = await cli("diff", "nike", six["id"])
        assert "0 added · 0 changed · 0 removed · 6 kept" in same.out
        again = await cli("restore", "nike", restored["id"])
        assert (again.code, "there is nothing to restore" in again.err) == (1, True)
        nothing = uuid4()
        unknown = await cli("restore", "nike", str(nothing))
        assert (unknown.code, unknown.err) == (
            1,
            f"error: Brand 'nike' has no snapshot {nothing}. List the brand's snapshots.\n",
        )
