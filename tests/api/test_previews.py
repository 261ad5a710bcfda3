"""Previews of what a source lists: fetched once and as a run would, never stored."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import pytest
from PIL import Image

from tests.support.api_server import serving, serving_with_keys
from tests.support.picture_server import Site
from triptych.acquire import previews
from triptych.media.thumbnails import WIDTHS

pytestmark = pytest.mark.integration

LOOPBACK = "127.0.0.0/8"


def large() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (900, 600), (200, 30, 90)).save(buffer, "JPEG")
    return buffer.getvalue()


async def test_a_picture_is_shown_small_and_nothing_is_kept(
    migrated_dsn: str, tmp_path: Path, site: Site
) -> None:
    site.instead = {1: large(), 2: b"<html>sign in</html>", 3: large()[:300]}
    site.gone = {4}
    async with serving(migrated_dsn, tmp_path, fetch_allow=LOOPBACK) as api:
        before = set(tmp_path.rglob("*"))
        reply = await api.post("/sources/preview", json={"url": f"{site.base}/nike/1.png"})
        assert (reply.status, reply.headers["Content-Type"]) == (200, "image/webp")
        assert reply.headers["Cache-Control"] == "no-store"
        with Image.open(io.BytesIO(reply.body)) as shown:
            assert (shown.format, shown.width) == ("WEBP", previews.PREVIEW_WIDTH)
        refused = {}
        for number, url in {
            2: f"{site.base}/nike/2.png",
            3: f"{site.base}/nike/3.png",
            4: f"{site.base}/nike/4.png",
            5: "ftp://x.example/1.png",
            6: "s3://bucket/1.png",
            7: "no url",
        }.items():
            reply = await api.post("/sources/preview", json={"url": url})
            assert (reply.status, reply.json["reason"]) == (404, "no-preview"), reply.body
            refused[number] = reply.json["detail"]
        assert "sign in" not in refused[2]
        assert "not_found" in refused[4]
        assert all("invalid_url" in refused[each] for each in (5, 6, 7)), refused
        assert site.hits == 4, "each is asked for once"
        assert set(tmp_path.rglob("*")) == before
        empty = await api.post("/sources/preview", json={"url": ""})
        assert (empty.status, empty.json["field"]) == (422, "url")


async def test_it_is_for_operators_and_the_guard_decides_about_addresses(
    migrated_dsn: str, tmp_path: Path, site: Site
) -> None:
    body = {"url": f"{site.base}/nike/1.png"}
    async with serving_with_keys(migrated_dsn, tmp_path, api_host="0.0.0.0") as (api, tokens):
        answers = {}
        for name, token in tokens.items():
            headers = {"Authorization": f"Bearer {token}"}
            reply = await api.post("/sources/preview", json=body, headers=headers)
            answers[name] = (reply.status, reply.json["detail"])
    assert answers["reader"][0] == 403
    assert answers["operator"][0] == 404
    assert "address_refused" in answers["operator"][1]
    assert site.hits == 0


async def test_more_than_a_few_at_a_time_wait_and_then_are_refused(
    migrated_dsn: str, tmp_path: Path, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(previews, "TURN_S", 0.2)
    site.released = asyncio.Event()
    more = previews.PREVIEWS_AT_ONCE + 1
    settings = {"fetch_allow": LOOPBACK, "host_concurrency": more}
    async with serving(migrated_dsn, tmp_path, **settings) as api:
        asked = [
            asyncio.create_task(
                api.post("/sources/preview", json={"url": f"{site.base}/nike/{number}.png"})
            )
            for number in range(more)
        ]
        done, _ = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result().status for task in done] == [429]
        site.released.set()
        statuses = sorted(reply.status for reply in await asyncio.gather(*asked))
    assert statuses == [200] * previews.PREVIEWS_AT_ONCE + [429]


def test_a_preview_is_a_thumbnail_and_waits_longer_than_one_takes() -> None:
    assert previews.PREVIEW_WIDTH in WIDTHS
    assert previews.TURN_S >= previews.PREVIEW_DEADLINE_S
