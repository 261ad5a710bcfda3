"""`--source` takes a bare path or URL, here and with `--server`, and says what was assumed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.cli_process import Cli, up
from tests.support.picture_server import serve_pictures, write_manifest

pytestmark = pytest.mark.integration

PICTURES = 3


async def test_a_bare_path_is_a_list_here_and_from_afar(cli: Cli, tmp_path: Path) -> None:
    async with serve_pictures() as base:
        listed = write_manifest(tmp_path, base, "nike", PICTURES)
        for command, server in (("run", None), ("submit", "up")):
            if server is None:
                result = await cli(command, "nike", "--source", "nike.csv", "--json")
            else:
                async with up(cli) as url:
                    away = Cli(cli.data.parent / "away")
                    result = await away(
                        *(command, "nike", "--source", "nike.csv", "--server", url),
                        *("--watch", "--json"),
                    )
            last = json.loads(result.out.splitlines()[-1])
            assert (result.code, last["state"], last["source"]) == (0, "committed", listed)
            assert f"Taken for a list: {listed}." in result.err


async def test_a_run_of_another_source_is_named_and_replaced(cli: Cli, tmp_path: Path) -> None:
    cli.env["TRIPTYCH_HOST_RATE"] = "20"  # The first run lasts until it is replaced.
    async with serve_pictures() as base, up(cli):
        paused = write_manifest(tmp_path, base, "slow", 2000)
        wanted = write_manifest(tmp_path, base, "nike", PICTURES)
        first = (await cli("submit", "nike", "--source", paused, "--json")).json()
        assert (await cli("pause", "nike")).code == 0
        refused = await cli("submit", "nike", "--source", wanted, "--watch")
        assert refused.code == 1
        assert f"has an active run ({first['id']}) of another source: {paused}." in refused.err
        assert "--replace" in refused.err
        assert "triptych cancel nike" in refused.err
        joined = await cli("submit", "nike", "--json")
        assert joined.json()["id"] == first["id"]
        assert f"nike has an active run already of {paused}" in joined.err
        replaced = await cli(
            *("submit", "nike", "--source", wanted, "--replace", "--watch", "--json")
        )
        last = json.loads(replaced.out.splitlines()[-1])
        assert (replaced.code, last["state"], last["source"]) == (0, "committed", wanted)
        assert (await cli("status", first["id"], "--json")).json()["state"] == "cancelled"


async def test_a_source_of_which_nothing_is_read_is_not_kept(cli: Cli, tmp_path: Path) -> None:
    async with serve_pictures() as base:
        good = write_manifest(tmp_path, base, "nike", PICTURES)
        assert (await cli("run", "nike", "--source", good)).code == 0
        refused = await cli("run", "nike", "--source", "nowhere.csv")
        assert (refused.code, "There is no file nowhere.csv" in refused.out) == (1, True)
        again = await cli("run", "nike", "--json")
        assert (again.code, json.loads(again.out.splitlines()[-1])["source"]) == (0, good)


async def test_what_is_no_source_has_the_same_words_here_and_from_afar(cli: Cli) -> None:
    async with up(cli) as url:
        for command in (["run"], ["submit", "--server", url]):
            result = await cli(command[0], "nike", "--source", "urls", *command[1:])
            assert result.code == 2
            (only,) = result.err.splitlines()
            assert only.startswith("error: --source: 'urls' must be written SCHEME:PLACE")
            assert only.endswith(", shopify:SHOP, sitemap:URL or upload:ID.")
        unknown = await cli("submit", "nike", "--source", "ftp:x", "--server", url)
        assert (
            "schemes are bucket, catalog, feed, folder, manifest, page, shopify, sitemap, upload."
            in unknown.err
        )
    unknown = await cli("run", "nike", "--source", "ftp:x")
    assert (
        "schemes are bucket, catalog, feed, folder, manifest, page, shopify, sitemap, upload."
        in unknown.err
    )
