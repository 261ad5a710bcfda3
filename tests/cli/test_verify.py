"""`triptych verify`: what it prints, and when its exit code says that something is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_process import Cli, Result, up
from tests.support.local_pipeline import ended, local_at, snapshot
from tests.support.object_damage import DAMAGES
from tests.support.picture_server import Site, write_manifest

URLS = 6


async def damaged(site: Site, folder: Path) -> str:
    """Commit a brand, damage one of its objects and lose another; return its source."""
    source = write_manifest(folder, site.base, "nike", URLS)
    async with local_at(folder, decoders=1) as local:
        await ended(local, (await local.submit("nike", source=source)).id)
        assets = await snapshot(local, "nike")
    places = [folder / "data" / "objects" / asset.object_key for asset in assets]
    places[0].unlink()
    places[1].write_bytes(DAMAGES["flipped"](places[1].read_bytes()))
    return source


def lines(result: Result) -> list[Any]:
    return [json.loads(line) for line in result.out.splitlines()]


async def test_it_tells_repairs_and_is_content(site: Site, tmp_path: Path, cli: Cli) -> None:
    await damaged(site, tmp_path)
    ill = await cli("verify")
    assert ill.code == 1
    assert "missing, of nike: http://127.0.0.1" in ill.out
    assert "of other bytes, of nike: http://127.0.0.1" in ill.out
    assert "6 objects" in ill.out
    assert "1 missing, 0 of another size, 1 of other bytes, 0 unreadable." in ill.out
    assert "`triptych verify --repair` fetches them again" in ill.out
    quick = await cli("verify", "--quick", "--json", "nike")
    *found, tally = lines(quick)
    assert quick.code == 1
    assert [each["problem"] for each in found] == ["missing"]
    assert (tally["wrong"], tally["bytes_read"]) == (1, 0)
    doctor = await cli("doctor")
    assert "2 of 6 objects that were looked for are missing or damaged" in doctor.out
    mended = await cli("verify", "--repair", "--json")
    *found, tally = lines(mended)
    assert mended.code == 0
    assert all(each["repaired"] for each in found)
    assert (tally["objects"], tally["repaired"], tally["wrong"]) == (URLS, 2, 0)
    well = await cli("verify")
    assert (well.code, well.err) == (0, "")
    assert "0 missing, 0 of another size, 0 of other bytes, 0 unreadable." in well.out
    assert "✓" in (await cli("doctor")).out


async def test_what_cannot_be_repaired_fails(site: Site, tmp_path: Path, cli: Cli) -> None:
    await damaged(site, tmp_path)
    site.seed = 100
    result = await cli("verify", "--repair", "nike")
    assert result.code == 1
    assert result.out.count("has other bytes now: left for the next run of nike") == 2
    assert "0 repaired, 2 not." in result.out


async def test_it_works_beside_a_server_and_a_run_heals_the_rest(
    site: Site, tmp_path: Path, cli: Cli
) -> None:
    source = await damaged(site, tmp_path)
    async with up(cli) as url:
        assert (await cli("verify")).code == 1
        run = await cli("submit", "nike", "--source", source, "--watch", "--server", url)
        assert run.code == 0, run.err
        assert (await cli("verify")).code == 0


@pytest.mark.parametrize("folder", ["0", "zz", "100", "FF"])
async def test_a_folder_that_is_none_is_refused(new_cli: Cli, folder: str) -> None:
    result = await new_cli("verify", "--from", folder)
    assert result.code == 1
    assert "Write two digits, 00 to ff" in result.err


async def test_a_brand_that_is_none_is_refused(cli: Cli) -> None:
    result = await cli("verify", "nothing")
    assert result.code == 1
    assert "nothing" in result.err
