"""What is asked for most goes past FastAPI, and is answered as FastAPI would have had it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute

from tests.support.api_server import commit, pictures, serving
from triptych.gather.urls import item_key
from triptych.snapshots.asset_ids import asset_id


async def test_both_ways_answer_the_same(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handled: list[str] = []
    handle = APIRoute.handle

    async def noted(self: APIRoute, scope: Any, receive: Any, send: Any) -> None:
        handled.append(scope["path"])
        await handle(self, scope, receive, send)

    monkeypatch.setattr(APIRoute, "handle", noted)
    contents = pictures(5)
    one = f"/assets/{asset_id('nike', item_key(next(iter(contents))))}"
    async with serving(migrated_dsn, tmp_path) as api:
        run = await commit(api.stores, "nike", contents)
        page = (await api.get("/brands/nike/assets?limit=2")).json
        assert not handled

        # A parameter that comes twice is nothing ordinary; its last value counts.
        for path, query in (
            ("/brands/nike/assets", "limit=2"),
            ("/brands/nike/assets", f"limit=2&cursor={page['next']}"),
            ("/brands/nike/assets", "media_type=image%2Fpng"),
            ("/brands/nike/assets", "text=%C3%A4"),
            ("/brands/nobody/assets", "limit=2"),
            (one, f"run={run.id}"),
            (one, f"run={uuid4()}"),
            (f"/assets/{asset_id('nobody', bytes(16))}", f"run={run.id}"),
        ):
            short = await api.get(f"{path}?{query}")
            assert not handled, path
            long = await api.get(f"{path}?{query}&{query.split('&')[0]}")
            assert handled, path
            handled.clear()
            assert (short.status, short.body) == (long.status, long.body), (path, query)
            assert short.headers.keys() == long.headers.keys(), (path, query)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/brands/nike/assets?limit=0", 422),
        ("/brands/nike/assets?limit=zwei", 422),
        ("/brands/nike/assets?nothing=1", 422),
        ("/brands/nike/assets?cursor=!", 422),
        ("/brands/%20/assets", 422),
        ("/brands/caf%C3%A9/assets", 404),
        (f"/brands/nike/assets?text={'a' * 3000}", 422),
        ("/assets/no-such-id", 404),
    ],
)
async def test_what_is_not_ordinary_is_fastapis_to_refuse(
    migrated_dsn: str, tmp_path: Path, path: str, status: int
) -> None:
    async with serving(migrated_dsn, tmp_path) as api:
        answer = await api.get(path)
        assert answer.status == status, answer.body
        assert answer.headers["Content-Type"] == "application/problem+json"
        if status == 422:
            assert answer.json["field"]
