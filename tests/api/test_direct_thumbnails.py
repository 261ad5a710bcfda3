"""Thumbnails by redirect: read from S3 by a URL that only who may see the brand is given."""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from PIL import Image

from tests.support.api_server import bearer, commit, put_objects, serving, settings_for
from triptych.access import key_cache
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.api import dashboard
from triptych.errors import SettingsError
from triptych.gather.urls import item_key
from triptych.snapshots.asset_ids import asset_id
from triptych.wiring.services import connect
from triptych.wiring.web_server import open_web

pytestmark = pytest.mark.integration

URL = "https://x.example/red.png"
PATH = f"/assets/{asset_id('nike', item_key(URL))}/thumbnail?w=160"


def red() -> dict[str, tuple[bytes, str]]:
    made = io.BytesIO()
    Image.new("RGB", (400, 300), "red").save(made, "PNG")
    return {URL: (made.getvalue(), "image/png")}


async def test_a_browser_reads_it_from_s3_and_the_page_allows_that_origin_alone(
    migrated_dsn: str, tmp_path: Path, bucket: str
) -> None:
    async with serving(migrated_dsn, tmp_path, store_url=bucket, direct_thumbnails=True) as api:
        await put_objects(api.services.settings, red())
        await commit(api.stores, "nike", red())
        led = await api.get(PATH)
        assert led.status == 307
        place = led.headers["Location"]
        async with aiohttp.ClientSession() as session, session.get(place) as answer:
            assert answer.content_type == "image/webp"
            with Image.open(io.BytesIO(await answer.read())) as picture:
                assert (picture.format, picture.size) == ("WEBP", (160, 120))
        again = await api.get(PATH)
        assert again.headers["Location"] == place, "so that a cache has it"
        kept = again.headers["Cache-Control"].removeprefix("private, max-age=")
        assert 0 < int(kept) < 300
        assert again.headers["Vary"] == "Authorization, Cookie"
        assert again.headers["Referrer-Policy"] == "no-referrer"
        async with api.session.get(f"{api.url}/") as page:
            allowed = page.headers.get("Content-Security-Policy", "")
        where = urlsplit(place)
        if page.status == 200:
            assert allowed == dashboard.policy(f"{where.scheme}://{where.netloc}")


def test_the_policy_has_one_origin_more_for_pictures_and_for_scripts_that_read_them() -> None:
    allowed = dashboard.policy("https://bucket.s3.eu-central-1.amazonaws.com").split("; ")
    changed = set(allowed) - set(dashboard.POLICY.split("; "))
    assert changed == {
        "img-src 'self' https://bucket.s3.eu-central-1.amazonaws.com blob:",
        "connect-src 'self' https://bucket.s3.eu-central-1.amazonaws.com",
    }
    assert dashboard.policy() == dashboard.POLICY


async def test_g9_a_key_of_another_brand_is_given_no_url(
    migrated_dsn: str, tmp_path: Path, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MISS_REFRESH_S", 0.0)
    async with serving(migrated_dsn, tmp_path, store_url=bucket, direct_thumbnails=True) as api:
        await put_objects(api.services.settings, red())
        await commit(api.stores, "nike", red())
        answers = []
        for brand in ("nike", "adidas"):
            token = new_token()
            await api.stores.access.create_key(
                brand, Scope.READER, digest(token), brands=frozenset({brand})
            )
            answers.append(await api.get(PATH, headers=bearer(token)))
        assert answers[0].status == 307
        assert answers[1].status in {403, 404}
        assert "Location" not in answers[1].headers


async def test_a_store_that_signs_nothing_is_refused_at_the_start(
    migrated_dsn: str, tmp_path: Path
) -> None:
    settings = settings_for(migrated_dsn, tmp_path, direct_thumbnails=True)
    async with connect(settings, migrated_dsn) as services:
        with pytest.raises(SettingsError, match="Only S3 signs"):
            async with open_web(services):
                pass


async def test_without_the_setting_the_api_sends_the_bytes(
    migrated_dsn: str, tmp_path: Path, bucket: str
) -> None:
    async with serving(migrated_dsn, tmp_path, store_url=bucket) as api:
        await put_objects(api.services.settings, red())
        await commit(api.stores, "nike", red())
        reply = await api.get(PATH)
        assert (reply.status, reply.headers["Content-Type"]) == (200, "image/webp")
