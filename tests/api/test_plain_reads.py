"""What is asked for most is read without FastAPI, and answered as FastAPI would have it."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from starlette.routing import Route

from tests.support.api_server import commit, pictures, serving
from tests.support.description import described
from tests.support.file_features import facts
from triptych.api import assets
from triptych.api.app import create_app
from triptych.features.feature_store import Feature
from triptych.features.file_feature import FILE, as_result
from triptych.features.picture_people import PEOPLE, Face, PicturePeople
from triptych.features.picture_text import TEXT, PictureText, TextLine
from triptych.gather.urls import item_key
from triptych.snapshots.asset_ids import asset_id

pytestmark = pytest.mark.integration


async def test_both_ways_answer_the_same(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = pictures(5)
    one = f"/assets/{asset_id('nike', item_key(next(iter(contents))))}"
    async with serving(migrated_dsn, tmp_path) as plain:
        run = await commit(plain.stores, "nike", contents)
        page = (await plain.get("/brands/nike/assets?limit=2")).json
        assert (await plain.get(one)).json["text"] is None
        assert (await plain.get(one)).json["origin"] is None
        text = PictureText([TextLine("SALE", 0.9, 0.1, 0.2, 0.3, 0.4)], 2)
        sha256 = bytes.fromhex((await plain.get(one)).json["sha256"])
        await plain.stores.features.put(TEXT, [Feature(sha256, text.as_result())])
        assert (await plain.get(one)).json["text"] == {
            "lines": [
                {
                    "text": "SALE",
                    "confidence": 0.9,
                    "x": 0.1,
                    "y": 0.2,
                    "width": 0.3,
                    "height": 0.4,
                }
            ],
            "left_out": 2,
        }
        assert (await plain.get(one)).json["people"] is None
        people = PicturePeople.with_faces([Face(0.9, 0.1, 0.2, 0.3, 0.4)])
        await plain.stores.features.put(PEOPLE, [Feature(sha256, people.as_result())])
        assert (await plain.get(one)).json["people"] == {
            "people": "one",
            "close_up": True,
            "faces": [{"confidence": 0.9, "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}],
            "left_out": 0,
        }
        shown = facts(copyright="© Acme", has_place=True)
        await plain.stores.features.put(FILE, [Feature(sha256, as_result(shown))])
        assert (await plain.get(one)).json["origin"] == {
            "copyright": "© Acme",
            "creator": None,
            "credit": None,
            "licence": None,
            "source_type": None,
            "has_place": True,
            "has_content_credentials": False,
            "unreadable": [],
        }
        monkeypatch.setattr(assets, "PLAIN_READS", {})
        async with serving(migrated_dsn, tmp_path) as fastapi:
            for path in (
                "/brands/nike/assets",
                "/brands/nike/assets?limit=2",
                "/brands/nike/assets?limit=1&limit=2",
                f"/brands/nike/assets?limit=2&cursor={page['next']}",
                "/brands/nike/assets?media_type=image%2Fpng",
                "/brands/nike/assets?text=%C3%A4",
                "/brands/nike/assets?duplicated=yes",
                "/brands/nobody/assets?limit=2",
                "/brands/caf%C3%A9/assets",
                one,
                f"{one}?run={run.id}",
                f"{one}?run={uuid4()}",
                f"/assets/{asset_id('nobody', bytes(16))}?run={run.id}",
                "/assets/no-such-id",
                # Refused:
                "/brands/nike/assets?limit=0",
                "/brands/nike/assets?limit=zwei",
                "/brands/nike/assets?nothing=1",
                "/brands/nike/assets?cursor=!",
                f"/brands/nike/assets?text={'a' * 3000}",
                f"{one}?run=1",
            ):
                short, long = await plain.get(path), await fastapi.get(path)
                assert (short.status, short.body) == (long.status, long.body), path
                assert short.headers.keys() == long.headers.keys(), path
            for method in ("HEAD", "POST"):
                refused = await plain(method, "/brands/nike/assets")
                assert (refused.status, refused.headers["Allow"]) == (405, "GET")
            assert (await plain.get("/brands/%20/assets")).status == 422


def test_what_is_read_so_is_described_too() -> None:
    app = create_app(None)
    plain = {route.path for route in app.router.routes if type(route) is Route}
    assert {f"/api/v1{path}" for path in assets.PLAIN_READS} == plain & set(described()["paths"])
