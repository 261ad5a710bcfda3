"""The kinds of sources, as a picker reads them, and what is refused by them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.api_server import Api, serving
from triptych.gather.source_registry import SourceRegistry
from triptych.messages import URL_MAX_CHARS
from triptych.runs.given_urls import URLS_MAX, GivenUrl

pytestmark = pytest.mark.integration

SCHEMES = [
    *("bucket", "catalog", "feed", "folder", "manifest", "page", "shopify", "sitemap", "upload")
]


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def refusing(shared_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    """A server for requests that are all refused, so that it stays empty."""
    async with serving(shared_dsn, tmp_path_factory.mktemp("data")) as opened:
        yield opened


async def test_the_kinds_of_sources_are_listed_by_scheme(api: Api) -> None:
    reply = await api.get("/sources")
    assert reply.status == 200
    registry = SourceRegistry.discover()
    assert [one["scheme"] for one in reply.json["items"]] == SCHEMES
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
            f"the schemes are {', '.join(SCHEMES)}"
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


async def test_urls_in_the_body_are_a_runs_source(api: Api) -> None:
    urls = [
        "https://x.example/1.png",
        {"url": "https://x.example/2.png", "metadata": {"sku": "a", "deep": [{"b": None}]}},
        "",
    ]
    reply = await api.post("/brands/nike/runs", json={"urls": urls})
    assert reply.status == 202, reply.json
    run = (await api.get(f"/runs/{reply.json['run']}")).json
    assert run["source"].startswith("urls:")
    kept = await api.stores.brands.kept_urls("nike", run["source"])
    assert kept == [
        GivenUrl("https://x.example/1.png"),
        GivenUrl("https://x.example/2.png", {"sku": "a", "deep": [{"b": None}]}),
        GivenUrl(""),
    ]
    again = await api.post("/brands/nike/runs", json={"urls": urls})
    assert again.json["run"] == reply.json["run"], "the same URLs are the same source"
    other = await api.post("/brands/nike/runs", json={"urls": urls[:1]})
    assert (other.status, other.json["source"]) == (409, run["source"])
    audit = (await api.get("/audit")).json["items"]
    assert [entry["detail"]["request"]["urls"] for entry in audit] == [3, 3]

    named = {"source": run["source"], "schedule": "0 3 * * 1"}
    assert (await api("PUT", "/brands/nike", json=named)).status == 202
    strange = await api("PUT", "/brands/adidas", json=named)
    assert (strange.status, strange.json["field"]) == (422, "source")
    checked = await api.post("/sources/check", json={"source": run["source"], "brand": "nike"})
    assert (checked.json["items"], checked.json["rows_refused"]) == (2, 1)


async def test_metadata_that_no_database_takes_are_judged_when_they_are_gathered(api: Api) -> None:
    for number, value in enumerate(["1" + "0" * 30, "-" + "9" * 25, "1e999", '"\\ud800"']):
        body = (
            f'{{"urls": [{{"url": "https://x.example/{number}", "metadata": {{"a": {value}}}}}]}}'
        )
        sent = {"data": body.encode(), "headers": {"Content-Type": "application/json"}}
        checked = await api.post("/sources/check", **sent)
        reply = await api.post(f"/brands/nike {number}/runs", **sent)
        assert (checked.status, reply.status) == (200, 202), (value, checked.json, reply.json)
        assert (checked.json["items"], checked.json["rows_read"]) == (1, 1)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"urls": []}, "urls"),
        ({"urls": "https://x.example/1"}, "urls"),
        ({"urls": ["https://x.example/1", 7]}, "urls.1"),
        ({"urls": [{"metadata": {}}]}, "urls.0.url"),
        ({"urls": [{"url": None}]}, "urls.0.url"),
        ({"urls": [{"url": "https://x", "metadata": []}]}, "urls.0.metadata"),
        ({"urls": [{"url": "https://x", "more": 1}]}, "urls.0.more"),
        ({"urls": ["https://x/" + "a" * URL_MAX_CHARS]}, "urls.0.url"),
        ({"urls": ["https://x"] * (URLS_MAX + 1)}, "urls"),
        ({"urls": ["https://x"], "source": "manifest:https://x/l.csv"}, "urls"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_urls_that_are_none_are_named_by_field_and_index(
    refusing: Api, body: dict[str, object], field: str
) -> None:
    for path in ("/brands/nike/runs", "/sources/check"):
        reply = await refusing.post(path, json=body)
        assert (reply.status, reply.json["field"]) == (422, field), reply.json
    assert (await refusing.get("/brands")).json["items"] == []


async def test_urls_are_checked_and_nothing_is_started_or_kept(api: Api) -> None:
    urls = ["https://x/1", {"url": "https://x/1", "metadata": {"n": 2}}, " ", "ftp://x"]
    reply = await api.post("/sources/check", json={"urls": urls})
    assert reply.status == 200, reply.json
    found = reply.json
    counts = ("rows_read", "items", "rows_merged", "rows_refused", "items_failed")
    assert [found[name] for name in counts] == [4, 2, 1, 1, 1]
    assert [row["place"] for row in found["first_rows"]] == [f"urls[{n}]" for n in range(4)]
    assert (await api.get("/brands")).json["items"] == []
    assert await api.stores.brands.kept_urls("nike", found["source"]) is None
    beyond = {"metadata": {"n": 2**70}}
    strange = {"urls": [{"url": "https://x", **beyond}, {"url": "", **beyond}]}
    told = (await api.post("/sources/check", json=strange)).json
    assert (told["items"], told["items_failed"], told["rows_refused"]) == (1, 1, 1)
    assert "invalid_metadata" in told["problems"][0]["problem"]
    nothing = await api.post("/sources/check", json={})
    assert (nothing.status, nothing.json["field"]) == (422, "source")
    assert (
        await api.post("/brands/nike/runs", json={"urls": ["https://x/" + "a" * 400] * 999})
    ).status == 413
