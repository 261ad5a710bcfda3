"""Pictures over HTTP: the covers of brands, and what a run acquires while it is under way."""

from __future__ import annotations

import hashlib
import io
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from PIL import Image

from tests.support.api_server import (
    POLICY,
    Api,
    bearer,
    check_described,
    commit,
    commit_pictures,
    put_objects,
    serving,
)
from triptych.access import key_cache
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.api.pictures import Pictures
from triptych.gather.urls import item_key
from triptych.model import ItemResult, NewItem, Reason, RunKind, Staged
from triptych.objects import object_key
from triptych.runs.run_shown import BrandShown

URLS = [f"https://user:secret@x.example/{name}.png" for name in ("red", "green", "blue")]


def png(colour: str) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (400, 300), colour).save(made, "PNG")
    return made.getvalue()


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


async def acquiring(api: Api, brand: str = "nike") -> UUID:
    """Open a run that has acquired two of its three pictures."""
    bodies = {url: (png(url.rsplit("/", 1)[1][:-4]), "image/png") for url in URLS}
    await put_objects(api.services.settings, bodies)
    run_id = uuid4()
    await api.stores.runs.open_run(
        brand,
        run_id=run_id,
        kind=RunKind.FULL,
        source=None,
        policy=POLICY,
        enqueue_gather_message=False,
    )
    rows = [NewItem(item_key(url), url, {}) for url in URLS]
    await api.stores.runs.expect(run_id, rows, cursor=None, limit=500)
    for url in URLS[:2]:
        sha256 = hashlib.sha256(bodies[url][0]).digest()
        staged = Staged(
            sha256=sha256,
            object_key=object_key(sha256),
            media_type="image/png",
            size_bytes=len(bodies[url][0]),
            width=400,
            height=300,
            phash=1,
            embedding=None,
            model=None,
            colours=(),
        )
        await api.stores.runs.settle(run_id, [ItemResult(item_key(url), staged)], limit=500)
    return run_id


async def test_a_brand_shows_four_of_its_pictures_and_a_new_one_none(api: Api) -> None:
    await commit_pictures(api, "nike", 6)
    await commit_pictures(api, "puma", 2)
    await acquiring(api, "adidas")
    listed = {brand["name"]: brand for brand in (await api.get("/brands")).json["items"]}
    assert {name: len(brand["covers"]) for name, brand in listed.items()} == {
        "adidas": 0,
        "nike": 4,
        "puma": 2,
    }
    nike = (await api.get("/brands/nike")).json
    assert nike["covers"] == listed["nike"]["covers"]
    check_described(BrandShown, nike)
    assets = (await api.get("/brands/nike/assets")).json["items"]
    assert nike["covers"] == [asset["id"] for asset in assets[:4]]
    await commit(api.stores, "prose", {"https://x.example/page": (b"<p>", "text/html")})
    assert (await api.get("/brands/prose")).json["covers"] == []


async def test_the_pictures_of_a_run_are_shown_before_it_commits(api: Api) -> None:
    run_id = await acquiring(api)
    answer = await api.get(f"/runs/{run_id}/pictures")
    check_described(Pictures, answer.json)
    green, red = answer.json["items"]
    assert [green["url"], red["url"]] == [
        "https://…@x.example/green.png",
        "https://…@x.example/red.png",
    ]
    assert b"secret" not in answer.body
    newer = await api.get(f"/runs/{run_id}/pictures", params={"after": red["acquired_at"]})
    assert [one["key"] for one in newer.json["items"]] == [green["key"]]
    path = f"/runs/{run_id}/pictures/{green['key']}/thumbnail"
    shown = await api.get(f"{path}?w=160")
    with Image.open(io.BytesIO(shown.body)) as picture:
        assert (picture.format, picture.size) == ("WEBP", (160, 120))
    known = {"If-None-Match": shown.headers["ETag"]}
    assert (await api.get(f"{path}?w=160", headers=known)).status == 304
    await api.stores.runs.seal(run_id)
    await api.stores.runs.settle(
        run_id, [ItemResult(item_key(URLS[2]), None, Reason.NOT_FOUND, "404")], limit=500
    )
    assert (await api.stores.runs.commit(run_id)).state == "committed"
    assert (await api.get(f"/runs/{run_id}/pictures")).json == {"items": []}
    assert (await api.get(f"{path}?w=160")).body == shown.body, "a page that was open has it yet"


async def test_what_a_run_does_not_have_is_not_found_and_bad_keys_are_refused(api: Api) -> None:
    run_id = await acquiring(api)
    pending = item_key(URLS[2]).hex()
    for path in (
        f"/runs/{uuid4()}/pictures",
        f"/runs/{uuid4()}/pictures/{pending}/thumbnail",
        f"/runs/{run_id}/pictures/{pending}/thumbnail",
    ):
        assert (await api.get(path)).status == 404
    assert (await api.get(f"/runs/{run_id}/pictures/{'g' * 32}/thumbnail")).status == 422
    for asked in (
        "limit=101",
        "after=0.5",
        "after=2026-11-30T10:00:00",
        "after=0001-01-01T00:00:00%2B14:00",
    ):
        refused = await api.get(f"/runs/{run_id}/pictures?{asked}")
        assert (refused.status, refused.json["field"]) == (422, asked.partition("=")[0])


async def test_g9_a_key_of_another_brand_sees_no_picture_of_a_run(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_cache, "MISS_REFRESH_S", 0.0)
    run_id = await acquiring(api)
    key = item_key(URLS[0]).hex()
    tokens = {}
    for brand in ("nike", "adidas"):
        tokens[brand] = new_token()
        await api.stores.access.create_key(
            brand, Scope.READER, digest(tokens[brand]), brands=frozenset({brand})
        )
    for path in (f"/runs/{run_id}/pictures", f"/runs/{run_id}/pictures/{key}/thumbnail?w=160"):
        answers = [await api.get(path, headers=bearer(token)) for token in tokens.values()]
        assert [answer.status for answer in answers] == [200, 403]
    listed = await api.get("/brands", headers=bearer(tokens["adidas"]))
    assert listed.json["items"] == []
