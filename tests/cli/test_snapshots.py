"""A brand that a bad list took half of, brought back from the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pyarrow
import pyarrow.parquet
import pytest

from tests.support import tiny_clip
from tests.support.commands import Commands, log_apart
from tests.support.postgres import PostgresServer
from tests.support.served_api import ServedApi, served_api
from triptych.model import MARKS

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedApi]:
    folder = tmp_path_factory.mktemp("served")
    model = str(tiny_clip.clip(folder / "clip"))
    with served_api(postgres_server, migrated_template, folder, embedder=model) as served:
        yield served


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    with log_apart():
        yield


def exported(commands: Commands, folder: Path) -> pyarrow.Table:
    """Export with embeddings; return all but the marks, which each AI phase finds again."""
    found = commands.json("export", "nike", "--format", "parquet", "--to", str(folder))
    (file,) = found["files"]
    table = pyarrow.parquet.read_table(file)
    assert table["embedding"].null_count == 0
    return table.drop_columns(list(MARKS))


def test_a_bad_list_is_undone(served: ServedApi, tmp_path: Path) -> None:
    commands, base, path = Commands(served.url), served.pictures, tmp_path / "feed.csv"
    rows = [f"{base}/x/{n}.png,Shoe {n}\n" for n in range(6)]
    path.write_text("url,title\n" + "".join(rows) + f"{base}/x/0.png,The same shoe\n")
    six = commands.followed("submit", "nike", "--source", f"manifest:{path}", "--watch")
    before = exported(commands, tmp_path / "before")
    path.write_text("url,title\n" + "".join(rows[:3]))
    three = commands.followed("submit", "nike", "--watch")
    assert (three["state"], three["removed"]) == ("committed", 3)
    assert exported(commands, tmp_path / "between").num_rows == 3

    listed = commands.json("snapshots", "nike")["items"]
    assert [each["run"] for each in listed] == [three["id"], six["id"]]
    assert "current" in commands("snapshots", "nike").stdout
    older = commands("assets", "nike", "--snapshot", six["id"])
    assert "An older snapshot, committed" in older.stdout
    assert "6 of 6 assets" in older.stdout
    page = commands.json("assets", "nike", "--snapshot", six["id"])
    assert (page["total"], len(page["items"])) == (6, 6)
    diff = commands("diff", "nike", six["id"])
    assert "0 added · 0 changed · 3 removed · 3 kept" in diff.stdout
    assert f"- {base}/x/5.png" in diff.stdout
    some = commands.json("diff", "nike", six["id"], three["id"], "--limit", "2")
    rest = commands.json("diff", "nike", six["id"], three["id"], "--after", some["next"])
    urls = {change["url"] for change in some["items"] + rest["items"]}
    assert urls == {f"{base}/x/{n}.png" for n in (3, 4, 5)}
    none = commands.json("diff", "nike", six["id"], "--change", "added")
    assert none["items"] == []

    result = commands("restore", "nike", six["id"], "--json")
    assert result.exit_code == 0, result.output
    assert "3 added · 0 changed · 0 removed · 3 kept" in result.stderr
    restored = json.loads(result.stdout.splitlines()[-1])
    assert (restored["kind"], restored["restores"]) == ("restore", six["id"])
    assert (restored["added"], restored["kept"], restored["removed"]) == (3, 3, 0)
    assert restored["ai_state"] == "done"
    after = exported(commands, tmp_path / "after")
    assert after.to_pylist() == before.to_pylist()
    assert f"snapshot {six['id']}, restored" in commands("status", "nike").stdout
    found = commands.json("insights", "nike")
    assert (found["run"], found["ai_state"]) == (restored["id"], "done")
    same = commands("diff", "nike", six["id"])
    assert "0 added · 0 changed · 0 removed · 6 kept" in same.stdout
    again = commands("restore", "nike", restored["id"])
    assert (again.exit_code, "there is nothing to restore" in again.output) == (1, True)
    nothing = uuid4()
    unknown = commands("restore", "nike", str(nothing))
    assert (unknown.exit_code, unknown.output) == (
        1,
        f"error: Brand 'nike' has no snapshot {nothing}. List the brand's snapshots.\n",
    )
