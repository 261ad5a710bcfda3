"""How content is served: from S3 itself by a URL that the API signs, and with what headers."""

from __future__ import annotations

import gzip
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from tests.support.api_server import commit, pictures, put_objects, serving
from triptych.api.http.streaming import SANDBOX
from triptych.gather.urls import item_key
from triptych.snapshots.asset_ids import asset_id


async def test_direct_content_comes_from_s3(migrated_dsn: str, tmp_path: Path, bucket: str) -> None:
    contents = pictures(1)
    ((url, (body, _)),) = contents.items()
    path = f"/assets/{asset_id('nike', item_key(url))}/content"
    async with serving(migrated_dsn, tmp_path, store_url=bucket) as api:
        await put_objects(api.services.settings, contents)
        await commit(api.stores, "nike", contents)
        through = await api.get(path)
        assert (through.status, through.body) == (200, body)
        led = await api.get(f"{path}?direct=true")
        assert led.status == 307
        assert led.headers["Cache-Control"] == "no-store"
        place = led.headers["Location"]
        assert int(parse_qs(urlsplit(place).query)["X-Amz-Expires"][0]) == 300
        async with aiohttp.ClientSession() as session, session.get(place) as answer:
            assert await answer.read() == body
            assert answer.content_type == "image/png"
        headers = {"If-None-Match": through.headers["ETag"]}
        assert (await api.get(f"{path}?direct=true", headers=headers)).status == 304
        assert (await api("HEAD", f"{path}?direct=true")).status == 200


async def test_a_store_that_signs_nothing_answers_itself(migrated_dsn: str, tmp_path: Path) -> None:
    contents = pictures(1)
    ((url, (body, _)),) = contents.items()
    async with serving(migrated_dsn, tmp_path) as api:
        await put_objects(api.services.settings, contents)
        await commit(api.stores, "nike", contents)
        reply = await api.get(f"/assets/{asset_id('nike', item_key(url))}/content?direct=true")
        assert (reply.status, reply.body) == (200, body)


SVG = b"<svg xmlns='http://www.w3.org/2000/svg' width='4' height='3'/>"
SVGZ = gzip.compress(SVG, mtime=0)
URL = "https://x.example/logo.svgz"


@pytest.mark.parametrize("stored", [SVG, SVGZ], ids=["plain", "compressed"])
@pytest.mark.parametrize("asked", ["", "?direct=true"])
async def test_a_compressed_svg_names_its_coding(
    migrated_dsn: str, tmp_path: Path, bucket: str, stored: bytes, asked: str
) -> None:
    contents = {URL: (stored, "image/svg+xml")}
    path = f"/assets/{asset_id('nike', item_key(URL))}/content"
    async with serving(migrated_dsn, tmp_path, store_url=bucket) as api:
        await put_objects(api.services.settings, contents)
        await commit(api.stores, "nike", contents)
        for method in ("GET", "HEAD"):
            coded = "gzip" if stored is SVGZ else None
            reply = await api(method, f"{path}{asked}" if coded else path)
            assert reply.status == 200
            assert reply.headers.get("Content-Encoding") == coded
            assert reply.headers["Content-Length"] == str(len(stored))
            assert reply.headers["Content-Type"] == "application/octet-stream"
            assert reply.headers["Content-Disposition"].startswith("attachment")
            assert reply.headers["Content-Security-Policy"] == SANDBOX
            # The client decodes what the header names.
            assert method == "HEAD" or reply.body == SVG
