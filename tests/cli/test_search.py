"""Searching from the command line, on a folder that a run has filled."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from tests.support import tiny_clip
from tests.support.cli_process import Cli
from tests.support.picture_server import serve_pictures, write_manifest


async def test_what_a_run_brought_is_searched(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRIPTYCH_EMBEDDER"] = str(tiny_clip.clip(tmp_path / "clip"))
    async with serve_pictures() as base:
        run = await cli("run", "nike", "--source", write_manifest(tmp_path, base, "nike", 12))
    assert run.code == 0, run.err

    everywhere = await cli("search", "red", "--limit", "3", "--json")
    assert everywhere.code == 0, everywhere.err
    found = everywhere.json()
    assert (len(found["items"]), found["unindexed"]) == (3, 0)
    assert 0 <= found["items"][0]["score"] <= 1
    first = found["items"][0]["asset"]
    assert first["brand"] == "nike"
    assert "embedding" not in first
    one = (await cli("search", "red", "--brand", "nike", "--limit", "3", "--json")).json()
    assert [hit["asset"]["id"] for hit in one["items"]] == [
        hit["asset"]["id"] for hit in found["items"]
    ]
    assert one["exact"]

    alike = (await cli("similar", first["id"], "--limit", "5", "--json")).json()
    assert len(alike["items"]) == 5
    assert first["id"] not in {hit["asset"]["id"] for hit in alike["items"]}
    picture = tmp_path / "red.png"
    Image.new("RGB", (30, 30), (250, 10, 10)).save(picture)
    by_image = (await cli("search", "--image", str(picture), "--type", "image/*", "--json")).json()
    assert by_image["items"][0]["similarity"] > 0.5

    told = await cli("search", "blue", "--brand", "nike")
    assert first["url"].rsplit("/", 1)[0] in told.out
    step = await cli("insights", "nike", "--step", "tags", "--json")
    assert [insight["kind"] for insight in step.json()["items"]] == ["tags"]
    lines = (await cli("insights", "nike")).out
    assert "AI done" in lines
    assert "clusters" in lines
    assert "assets with tags" in lines
    assert '"text_model"' not in lines
    whole = await cli("insights", "nike", "--step", "tags", "--verbose")
    assert '"text_model"' in whole.out
    assert "seconds" in whole.out
    assert "clusters" not in whole.out

    for args, line in [
        (["search"], "error: TEXT or --image: Give either a text or an image."),
        (["search", "a", "--image", "b"], "error: TEXT or --image: Give either"),
        (["search", "--image", str(tmp_path / "none")], "error: --image: "),
        (
            ["search", "--image", str(tmp_path / "clip/tokenizer.json")],
            "error: image: It cannot be",
        ),
        (["search", "red", "--brand", "nobody"], "error: There is no brand 'nobody'."),
        (["similar", "nonsense"], "error: No asset has this id."),
        (["similar", "-nonsense"], "error: No asset has this id."),
        (["insights", "nike", "--step", "none"], "error: --step: There is no insight of that kind"),
        (["insights", "nobody"], "error: There is no brand 'nobody'."),
    ]:
        refused = await cli(*args)
        assert (refused.code, refused.err.splitlines()[-1][: len(line)]) == (1, line)
