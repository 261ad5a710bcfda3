"""Searching from the command line, on what a run has brought."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.support import tiny_clip
from tests.support.commands import Commands, log_apart
from tests.support.picture_server import write_manifest
from tests.support.postgres import PostgresServer
from tests.support.served_api import ServedApi, served_api
from tests.support.waiting import until

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


async def unindexed(served: ServedApi) -> int:
    """Return how many brands a search of all brands leaves out: they are indexed after a commit."""
    found: int = (await served.api.get("/search?q=red")).json["unindexed"]
    return found


def test_what_a_run_brought_is_searched(served: ServedApi, tmp_path: Path) -> None:
    commands = Commands(served.url)
    source = write_manifest(tmp_path, served.pictures, "nike", 12)
    assert commands.followed("submit", "nike", "--source", source, "--watch")["ai_state"] == "done"
    served.call(until(lambda: unindexed(served), lambda brands: brands == 0))

    found = commands.json("search", "red", "--limit", "3")
    assert (len(found["items"]), found["unindexed"]) == (3, 0)
    assert 0 <= found["items"][0]["score"] <= 1
    first = found["items"][0]["asset"]
    assert first["brand"] == "nike"
    assert "embedding" not in first
    one = commands.json("search", "red", "--brand", "nike", "--limit", "3")
    assert [hit["asset"]["id"] for hit in one["items"]] == [
        hit["asset"]["id"] for hit in found["items"]
    ]
    assert one["exact"]

    alike = commands.json("similar", first["id"], "--limit", "5")
    assert len(alike["items"]) == 5
    assert first["id"] not in {hit["asset"]["id"] for hit in alike["items"]}
    picture = tmp_path / "red.png"
    Image.new("RGB", (30, 30), (250, 10, 10)).save(picture)
    by_image = commands.json("search", "--image", str(picture), "--type", "image/*")
    assert by_image["items"][0]["similarity"] > 0.5

    shown = commands("search", "blue", "--brand", "nike").stdout
    assert first["url"].rsplit("/", 1)[0] in shown
    step = commands.json("insights", "nike", "--step", "tags")
    assert [insight["kind"] for insight in step["items"]] == ["tags"]
    lines = commands("insights", "nike").stdout
    assert "AI done" in lines
    assert "clusters" in lines
    assert "assets with tags" in lines
    assert '"text_model"' not in lines
    whole = commands("insights", "nike", "--step", "tags", "--verbose").stdout
    assert '"text_model"' in whole
    assert "seconds" in whole
    assert "clusters" not in whole

    for args, line in [
        (["search"], "error: TEXT or --image: Give either a text or an image."),
        (["search", "a", "--image", "b"], "error: TEXT or --image: Give either"),
        (["search", "--image", str(tmp_path / "none")], "error: --image: "),
        (
            ["search", "--image", str(tmp_path / "nike.csv")],
            "error: image: It cannot be",
        ),
        (["search", "red", "--brand", "nobody"], "error: There is no brand 'nobody'."),
        (["similar", "nonsense"], "error: No asset has this id."),
        (["similar", "-nonsense"], "error: No asset has this id."),
        (["insights", "nike", "--step", "none"], "error: --step: There is no insight of that kind"),
        (["insights", "nobody"], "error: There is no brand 'nobody'."),
    ]:
        refused = commands(*args)
        assert (refused.exit_code, refused.stderr.splitlines()[-1][: len(line)]) == (1, line)
