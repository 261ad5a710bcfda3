"""Facets over HTTP: the filters of the list of assets, cursors, and what is refused."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
import pytest_asyncio

from tests.support.api_server import Api, serving
from tests.support.contracts.facets_contract import PICTURES, Picture, commit_pictures
from triptych.api import facets
from triptych.snapshots.facets import OWN_FILTER

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def with_one_picture(
    shared_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """A server with a brand of one picture, for requests that are refused."""
    async with serving(shared_dsn, tmp_path_factory.mktemp("data")) as opened:
        await commit_pictures(opened.stores, "nike", PICTURES[:1])
        yield opened


async def test_a_brand_is_counted_by_everything_that_it_has(api: Api) -> None:
    run = await commit_pictures(api.stores, "nike", PICTURES)
    found = (await api.get("/brands/nike/facets")).json
    assert [each["name"] for each in found["facets"]] == list(OWN_FILTER)
    assert (found["run"], found["assets"], found["exact"]) == (str(run.id), 5, True)
    shape = next(each for each in found["facets"] if each["name"] == "shape")
    assert shape["kind"] == "values"
    for count in shape["counts"]:
        ((name, value),) = count["query"].items()
        page = (await api.get(f"/brands/nike/assets?{name}={value}")).json
        assert len(page["items"]) == count["count"]
    assert {each["name"] for each in found["columns"]} == {"color", "price"}


async def test_columns_are_counted_and_filtered_by_name(api: Api) -> None:
    await commit_pictures(api.stores, "nike", PICTURES)
    blue = quote('{"color": ["blue"]}')
    found = (await api.get(f"/brands/nike/facets?by=metadata.color&by=shape&metadata={blue}")).json
    assert found["assets"] == 2
    colour, shape = found["facets"]
    assert {each["value"]: each["count"] for each in colour["counts"]} == {"blue": 2, "red": 2}
    assert {each["value"]: each["count"] for each in shape["counts"]} == {
        "portrait": 1,
        "square": 1,
    }
    page = (await api.get(f"/brands/nike/assets?metadata={blue}")).json
    assert len(page["items"]) == 2


async def test_the_values_of_one_facet_come_in_pages_of_one_snapshot(api: Api) -> None:
    first = await commit_pictures(api.stores, "nike", [Picture({"n": str(n)}) for n in range(5)])
    place = "/brands/nike/facets?by=metadata.n&limit=2"
    page = (await api.get(place)).json
    await commit_pictures(api.stores, "nike", [Picture({"n": "other"})])
    seen = []
    for _ in range(5):
        (facet,) = page["facets"]
        assert page["run"] == str(first.id)
        seen += [each["value"] for each in facet["counts"]]
        if facet["next"] is None:
            break
        page = (await api.get(f"{place}&cursor={facet['next']}")).json
    assert seen == list("01234")


async def test_all_brands_are_counted(api: Api) -> None:
    await commit_pictures(api.stores, "nike", PICTURES)
    await commit_pictures(api.stores, "puma", PICTURES[:1])
    found = (await api.get("/facets?by=media_type&shape=landscape")).json
    assert (found["run"], found["assets"], found["of"]) == (None, 2, 6)
    assert found["facets"][0]["counts"] == [
        {"value": "image/png", "count": 2, "query": {"media_type": "image/png"}, "below": None}
    ]


async def test_a_brand_without_a_snapshot_has_no_counts(api: Api) -> None:
    await api.stores.brands.put_brand("new", source=None, schedule=None, due_at=None)
    found = (await api.get("/brands/new/facets")).json
    assert (found["run"], found["assets"], found["facets"]) == (None, 0, [])
    assert (await api.get("/brands/none/facets")).json["reason"] == "brand-not-found"
    answer = await api.get(f"/brands/new/facets?snapshot={uuid4()}")
    assert answer.json["reason"] == "run-not-found"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("by=nothing", "by"),
        ("by=metadata.", "by"),
        ("by=" + "&by=".join(f"metadata.{n}" for n in range(17)), "by"),
        ("shape=round", "shape"),
        ("size=12", "size"),
        ("colour_name=mauve", "colour_name"),
        ("first_seen=yesterday", "first_seen"),
        ("metadata=color:red", "metadata"),
        ("metadata=[]", "metadata"),
        ("metadata={}", "metadata"),
        ("metadata=" + quote(json.dumps({"a": {"from": "x"}})), "metadata"),
        ("metadata=" + quote(json.dumps({"a": {"day": "2026-1"}})), "metadata"),
        ("metadata=" + quote(json.dumps({"a": {"of": 1}})), "metadata"),
        ("metadata=" + quote(json.dumps({"a": None})), "metadata"),
        ("metadata=" + quote(json.dumps({"a\0": 1})), "metadata"),
        ("metadata=" + quote(json.dumps({"a": "x" * 201})), "metadata"),
        ("metadata=" + quote(json.dumps({str(n): n for n in range(21)})), "metadata"),
        ("limit=0", "limit"),
    ],
    ids=range(18),
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_wrong_is_named(with_one_picture: Api, query: str, field: str) -> None:
    answer = await with_one_picture.get(f"/brands/nike/facets?{query}")
    assert answer.status == 422
    assert field in answer.json["field"]


async def test_a_cursor_is_of_one_facet(api: Api) -> None:
    await commit_pictures(api.stores, "nike", [Picture({"n": str(n)}) for n in range(5)])
    one = (await api.get("/brands/nike/facets?by=metadata.n&limit=2")).json
    cursor = one["facets"][0]["next"]
    answer = await api.get(f"/brands/nike/facets?by=metadata.n&by=tag&limit=2&cursor={cursor}")
    assert answer.json["reason"] == "invalid-cursor"


def test_the_dashboard_asks_for_as_many_facets_as_one_answer_may_have() -> None:
    panel = (ROOT / "dashboard" / "src" / "brand" / "Facets.svelte").read_text("utf-8")
    assert f"const MOST = {facets.FACETS_MAX};" in panel
    assert len(OWN_FILTER) < facets.FACETS_MAX


async def test_counting_has_a_deadline(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    await commit_pictures(api.stores, "nike", [Picture({"n": str(n)}) for n in range(1000)])
    monkeypatch.setattr(facets, "FACETS_S", 1e-3)
    answer = await api.get("/brands/nike/facets?by=metadata.n")
    assert (answer.status, answer.json["reason"]) == (503, "search-unavailable")
