"""Pictures that are too small are left out, and pictures that are not decoded are kept as known."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from tests.support.local_pipeline import acquiring_at, ended, snapshot
from tests.support.picture_server import Site, write_manifest
from triptych.model import RunState

PIXEL, LINE, ICON, LOGO, PRODUCT = range(5)


def png(width: int, height: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGBA", (width, height)).save(buffer, "PNG")
    return buffer.getvalue()


def small_things() -> dict[int, bytes]:
    return {
        PIXEL: png(1, 1),
        LINE: png(600, 2),
        ICON: png(16, 16),
        LOGO: b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" '
        b'height="9"/></svg>',
    }


async def test_what_is_smaller_than_wanted_is_left_out(site: Site, tmp_path: Path) -> None:
    site.instead = small_things()
    site.etags = True
    source = write_manifest(tmp_path, site.base, "nike", 5)
    async with acquiring_at(tmp_path, tolerated_failures=1.0) as local:
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assert run.added == 5, "by default a picture of one pixel is one"
    async with acquiring_at(tmp_path, tolerated_failures=1.0, min_side=16) as local:
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assert (run.state, run.reasons, run.kept) == (RunState.COMMITTED, {"too_small": 2}, 3)
        assert site.not_modified == 5, "which is known of pictures that have not changed"
    async with acquiring_at(tmp_path, tolerated_failures=1.0, min_side=17) as local:
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assert run.reasons == {"too_small": 3}
        kept = {asset.media_type: asset for asset in await snapshot(local, "nike")}
        assert set(kept) == {"image/svg+xml", "image/png"}, "an SVG has no size in pixels"


async def test_a_picture_that_is_not_decoded_is_kept_without_another_download(
    site: Site, tmp_path: Path
) -> None:
    site.instead = {0: b"\xff\x0a" + bytes(400)}
    site.etags = True
    source = write_manifest(tmp_path, site.base, "nike", 2)
    async with acquiring_at(tmp_path, other_media=True) as local:
        await ended(local, (await local.submit("nike", source=source)).id)
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assert (run.state, run.kept, site.not_modified) == (RunState.COMMITTED, 2, 2)
        assert {asset.media_type for asset in await snapshot(local, "nike")} == {
            "image/jxl",
            "image/png",
        }
