"""Assets that stay the same when their URLs change: rotated signatures, another CDN."""

from __future__ import annotations

from pathlib import Path

from tests.support.local_pipeline import acquiring_at, ended, snapshot
from tests.support.picture_server import Site

PICTURES = 3


def write(path: Path, base: str, folder: str, day: str) -> None:
    rows = [f"S{n},{base}/{folder}/{n}.png?Expires={day}&Signature=s{day}{n}" for n in range(3)]
    path.write_text("\n".join(["sku,url", *rows]))


async def test_rotated_signatures_keep_the_assets_and_are_asked_for_by_validator(
    site: Site, tmp_path: Path
) -> None:
    site.etags = True
    path = tmp_path / "feed.csv"
    source = f"manifest:{path}#ignore-query=Expires&ignore-query=Signature"
    async with acquiring_at(tmp_path, decode=False) as local:
        write(path, site.base, "shop", "1")
        await ended(local, (await local.submit("nike", source=source)).id)
        before = await snapshot(local, "nike")
        write(path, site.base, "shop", "2")
        run = await ended(local, (await local.submit("nike", source=source)).id)
        after = await snapshot(local, "nike")
    assert (run.added, run.kept, run.removed) == (0, PICTURES, 0)
    assert site.not_modified == PICTURES, "no body is sent again"
    assert {asset.key for asset in before} == {asset.key for asset in after}
    assert all("Expires=2" in asset.url for asset in after)


async def test_a_key_keeps_the_assets_on_another_host_and_trusts_no_validator_of_another_url(
    site: Site, tmp_path: Path
) -> None:
    site.etags = True
    path = tmp_path / "feed.csv"
    async with acquiring_at(tmp_path, decode=False) as local:
        write(path, site.base, "old", "1")
        source = f"manifest:{path}#key=sku"
        await ended(local, (await local.submit("nike", source=source)).id)
        write(path, site.base, "new", "1")
        run = await ended(local, (await local.submit("nike", source=source)).id)
        after = await snapshot(local, "nike")
    assert (run.added, run.kept, run.removed) == (0, PICTURES, 0)
    assert site.not_modified == 0, "an ETag is that of one URL"
    assert all("/new/" in asset.url for asset in after)
