"""The kinds of sources, as a picker reads them, and what is refused by them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.api_server import Api, serving
from triptych.gather.source_registry import SourceRegistry

pytestmark = pytest.mark.integration


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


async def test_the_kinds_of_sources_are_listed_by_scheme(api: Api) -> None:
    reply = await api.get("/sources")
    assert reply.status == 200
    registry = SourceRegistry.discover()
    assert [one["scheme"] for one in reply.json["items"]] == ["catalog", "manifest"]
    for shown, known in zip(reply.json["items"], registry.types, strict=True):
        assert shown == {
            "scheme": known.scheme,
            "title": known.title,
            "description": known.description,
            "place": known.place,
            "example": known.example,
            "problem": None,
        }


async def test_what_is_no_source_is_refused_by_field_schemes_and_remedy(api: Api) -> None:
    for method, path in (("POST", "/brands/nike/runs"), ("PUT", "/brands/nike")):
        for source in ("urls.csv", "ftp:x", "catalog:x"):
            reply = await api(method, path, json={"source": source})
            assert (reply.status, reply.json["field"]) == (422, "source"), reply.json
            assert "catalog:https://…" in reply.json["remedy"]
        assert (
            "the schemes are catalog, manifest"
            in (await api(method, path, json={"source": "ftp:x"})).json["detail"]
        )


async def test_a_source_is_checked_and_nothing_is_started(api: Api, tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text("Image Src,Title\nhttps://x/1,a\nhttps://x/1,b\n,c\n")
    reply = await api.post("/sources/check", json={"source": f"manifest:{path}"})
    assert reply.status == 200, reply.json
    found = reply.json
    assert (found["rows_read"], found["items"]) == (3, 1)
    assert (found["rows_merged"], found["rows_refused"], found["whole"]) == (1, 1, True)
    assert found["lists"][0]["url_columns"] == ["Image Src"]
    assert found["problems"][0]["places"] == ["line 4"]
    assert (await api.get("/brands")).json["items"] == []
    assert (await api.get("/runs")).json["items"] == []


async def test_a_check_refuses_as_a_run_would(api: Api, tmp_path: Path) -> None:
    nowhere = await api.post("/sources/check", json={"source": "manifest:/nowhere.csv"})
    assert nowhere.status == 422
    assert nowhere.json["detail"] == "There is no file /nowhere.csv."
    unknown = await api.post("/sources/check", json={"source": "ftp:x"})
    assert (unknown.status, unknown.json["field"]) == (422, "source")
    service = await api.post("/sources/check", json={"source": "catalog:https://x.example/"})
    assert (service.status, service.json["remedy"]) == (422, "Name the brand.")
    name = await api.post("/sources/check", json={"source": "manifest:x", "brand": "a/b"})
    assert name.status == 422
