"""Search, maps and comparisons over HTTP."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from tests.support import tiny_clip
from tests.support.api_server import Api, serving
from tests.support.contracts.search_contract import commit_vectors, drawn, index_all, mark
from triptych.api import brand_maps
from triptych.api.http import auth
from triptych.gather.urls import item_key
from triptych.model import Run
from triptych.snapshots import search_service
from triptych.snapshots.asset_ids import asset_id
from triptych.snapshots.search_service import SearchService
from triptych.wiring.models import open_embedder

COLOURS = ["red", "green", "blue", "white"]


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    model = str(tiny_clip.clip(tmp_path / "clip"))
    async with serving(migrated_dsn, tmp_path, embedder=model) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def not_searchable(
    shared_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """A server with brands of another model, without embeddings, and without a snapshot."""
    folder = tmp_path_factory.mktemp("search")
    model = str(tiny_clip.clip(folder / "clip"))
    async with serving(shared_dsn, folder, embedder=model) as opened:
        await commit_vectors(opened.stores, "other", drawn(3, 1), model="older")
        await commit_vectors(opened.stores, "bare", [None])
        await opened.registry.open("new", source="manifest:https://x.example/a.csv")
        yield opened


async def colours(api: Api, brand: str) -> Run:
    embedder = open_embedder(api.services.settings, 1)
    assert embedder is not None
    shown = np.stack([tiny_clip.picture(tiny_clip.COLOURS[name]) for name in COLOURS])
    vectors = embedder.embed(shown)
    return await commit_vectors(api.stores, brand, vectors, model=embedder.model, content=brand)


def png(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 40), colour).save(file, "PNG")
    return file.getvalue()


def names(answer: Any) -> list[str]:
    return [COLOURS[int(hit["asset"]["url"].rsplit("/", 1)[1])] for hit in answer["items"]]


def key(number: int) -> bytes:
    return item_key(f"https://x/{number}")


async def test_texts_assets_and_pictures_are_searched_by(api: Api) -> None:
    run = await colours(api, "nike")
    await colours(api, "puma")
    found = (await api.get("/search?q=red&brand=nike&limit=2")).json
    assert names(found)[0] == "red"
    assert found["exact"]
    assert found["items"][0]["score"] > 0.9
    assert len(found["items"]) == 2
    assert (await api.get("/search?q=red")).json["unindexed"] == 2
    await index_all(api.stores)
    everywhere = (await api.get("/search?q=blue&limit=2")).json
    assert names(everywhere) == ["blue", "blue"]
    assert {hit["asset"]["brand"] for hit in everywhere["items"]} == {"nike", "puma"}

    red = asset_id("nike", key(0))
    alike = (await api.get(f"/assets/{red}/similar")).json
    assert sorted(names(alike)) == ["blue", "green", "white"]
    assert {hit["asset"]["brand"] for hit in alike["items"]} == {"nike"}
    assert names((await api.get(f"/assets/{red}/similar?run={run.id}&limit=3")).json)
    there = (await api.get(f"/search?asset={red}&brand=puma&limit=1")).json
    assert (names(there), there["items"][0]["asset"]["brand"]) == (["red"], "puma")

    by_picture = await api.post("/search?brand=puma&limit=1", data=png((0, 250, 5)))
    assert by_picture.status == 200
    assert names(by_picture.json) == ["green"]
    typed = {"Content-Type": "image/png"}
    again = await api.post("/search?limit=1", data=png((0, 250, 5)), headers=typed)
    assert names(again.json) == ["green"]


async def test_filters_reach_search_and_pages(api: Api) -> None:
    run = await colours(api, "nike")
    await mark(
        api.stores,
        run,
        [f"https://x/{n}" for n in range(4)],
        tags=[["shoe"], ["shoe", "hat"], None, None],
        cluster=["a", None, "a", None],
        duplicates=["d", "d", None, None],
        look=["logo", None, None, None],
        outlier=[0.1, 0.9, None, None],
    )
    for query, expected in [
        ("tag=shoe", {"red", "green"}),
        ("tag=hat", {"green"}),
        ("cluster=a", {"red", "blue"}),
        ("duplicates=d", {"red", "green"}),
        ("duplicated=true", {"red", "green"}),
        ("duplicated=false", {"blue", "white"}),
        ("look=logo", {"red"}),
        ("outlier=0.5", {"green"}),
        ("colour=ff0000", {"green", "white"}),
        ("tag=shoe&cluster=a", {"red"}),
        ("tag=none", set()),
    ]:
        page = (await api.get(f"/brands/nike/assets?{query}")).json
        listed = {COLOURS[int(asset["url"].rsplit("/", 1)[1])] for asset in page["items"]}
        assert listed == expected, query
        found = await api.get(f"/search?q=red&brand=nike&fold=false&{query}")
        assert set(names(found.json)) == expected
    folded = (await api.get("/search?q=red&brand=nike&duplicates=d")).json
    assert [(hit["copies"], hit["also_in"]) for hit in folded["items"]] == [(2, [])]
    one = (await api.get(f"/assets/{asset_id('nike', key(0))}")).json
    assert one["marks"]["tags"] == ["shoe"]
    assert one["marks"]["look"] == "logo"
    first = (await api.get("/brands/nike/assets?tag=shoe&limit=1")).json
    rest = await api.get(f"/brands/nike/assets?tag=shoe&limit=1&cursor={first['next']}")
    assert rest.json["items"][0]["id"] != first["items"][0]["id"]
    other = await api.get(f"/brands/nike/assets?tag=hat&cursor={first['next']}")
    assert (other.status, other.json["field"]) == (422, "cursor")


@pytest.mark.parametrize(
    ("path", "status", "reason", "field"),
    [
        ("/search", 422, "invalid-request", "query"),
        ("/search?q=a&asset=b", 422, "invalid-request", "query"),
        ("/search?q=%20", 422, "invalid-request", "q"),
        (f"/search?q={'x' * 501}", 422, "invalid-request", "q"),
        ("/search?q=a&limit=501", 422, "invalid-request", "limit"),
        ("/search?q=a&outlier=nan", 422, "invalid-request", "outlier"),
        ("/search?q=a&unknown=1", 422, "invalid-request", "unknown"),
        ("/search?q=a&brand=a/b", 422, "invalid-request", "brand"),
        ("/search?q=a&brand=nobody", 404, "brand-not-found", None),
        ("/search?asset=nonsense", 404, "asset-not-found", None),
        ("/assets/nonsense/similar", 404, "asset-not-found", None),
        (f"/assets/{asset_id('nobody', b'k' * 16)}/similar", 404, "asset-not-found", None),
        ("/search?q=red&brand=other", 409, "not-searchable", None),
        ("/search?q=red&brand=bare", 200, None, None),
        (f"/search?asset={asset_id('bare', key(0))}", 409, "not-searchable", None),
        ("/brands/nobody/map", 404, "brand-not-found", None),
        ("/brands/nobody/compare/bare", 404, "brand-not-found", None),
        ("/brands/bare/compare/nobody", 404, "brand-not-found", None),
        ("/brands/bare/compare/new", 409, "not-searchable", None),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_cannot_be_done_says_why(
    not_searchable: Api, path: str, status: int, reason: str | None, field: str | None
) -> None:
    answer = await not_searchable.get(path)
    assert answer.status == status, answer.body
    if reason is not None:
        assert (answer.json["reason"], answer.json.get("field")) == (reason, field)


async def test_g8_g9_uploads_are_capped_and_only_pictures(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = await api.post("/search", data=b"no picture at all")
    assert (refused.status, refused.json["field"]) == (422, "image")
    assert (await api.post("/search")).status == 422
    monkeypatch.setitem(auth.BODIES_MAX_BYTES, ("POST", "/api/v1/search"), 1000)
    large = await api.post("/search", data=b"x" * 1001)
    assert (large.status, large.json["detail"]) == (413, "A request has at most 1000 bytes.")
    other = await api.post("/brands/nike/runs", data=b"x" * (auth.BODY_MAX_BYTES + 1))
    assert other.status == 413
    monkeypatch.setattr(search_service, "IMAGES_MAX", 0)
    crowd = await api.post("/search", data=png((1, 2, 3)))
    assert (crowd.status, crowd.json["reason"]) == (503, "search-unavailable")
    assert crowd.headers["Retry-After"]
    monkeypatch.setattr(search_service, "IMAGES_EACH", 0)
    own = await api.post("/search", data=png((1, 2, 3)))
    assert (own.status, own.json["reason"]) == (429, "too-many-requests")
    assert own.headers["Retry-After"]


async def test_an_upload_whose_client_is_gone_frees_its_place(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    reached, cancelled = asyncio.Event(), asyncio.Event()

    async def never(*_: object, **__: object) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    monkeypatch.setattr(SearchService, "by_image", never)
    leaving = asyncio.create_task(api.post("/search", data=png((1, 2, 3))))
    await asyncio.wait_for(reached.wait(), 30)
    leaving.cancel()
    await asyncio.wait_for(cancelled.wait(), 30)


async def test_g8_a_picture_that_never_arrives_is_given_up(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.api.search.UPLOAD_S", 0.1)
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b"\x89PNG"
        await go_on.wait()

    answer = await asyncio.wait_for(api.post("/search", data=slowly()), 30)
    go_on.set()
    assert (answer.status, answer.json["reason"]) == (503, "search-unavailable")


def read_map(body: bytes) -> tuple[bytes, np.ndarray, np.ndarray, list[str | None], list[bytes]]:
    magic, version, count, size, run = struct.unpack_from("<4sIII16s", body)
    assert (magic, version) == (b"TMAP", 1)
    x = np.frombuffer(body, "<f4", count, 32)
    y = np.frombuffer(body, "<f4", count, 32 + 4 * count)
    cluster = np.frombuffer(body, "<i4", count, 32 + 8 * count)
    keys = np.frombuffer(body, "S16", count, 32 + 12 * count)
    names = json.loads(body[32 + 28 * count :])
    assert len(body) == 32 + 28 * count + size
    clusters = [None if number < 0 else names[number] for number in cluster]
    return run, x, y, clusters, [bytes(k).ljust(16, b"\0") for k in keys]


async def test_a_map_is_drawn_once_a_snapshot(api: Api) -> None:
    run = await colours(api, "nike")
    early = await api.get("/brands/nike/map")
    assert (early.status, len(read_map(early.body)[1])) == (200, 0)
    urls = [f"https://x/{n}" for n in range(4)]
    places = {"x": [0.5, -1.0, None, 3.0], "y": [1.0, 2.0, None, -0.25]}
    await mark(api.stores, run, urls, cluster=["ü", None, "ü", "a"], **places)
    answer = await api.get("/brands/nike/map")
    assert answer.headers["Content-Type"] == brand_maps.MAP_TYPE
    drawn_of, x, y, clusters, keys = read_map(answer.body)
    assert drawn_of == run.id.bytes
    points = {k: (float(a), float(b), c) for k, a, b, c in zip(keys, x, y, clusters, strict=True)}
    assert points == {
        key(0): (0.5, 1.0, "ü"),
        key(1): (-1.0, 2.0, None),
        key(3): (3.0, -0.25, "a"),
    }
    assert keys == sorted(keys)
    assert (await api.get(f"/assets/{asset_id('nike', keys[0])}")).status == 200
    etag = answer.headers["ETag"]
    same = await api.get("/brands/nike/map", headers={"If-None-Match": etag})
    assert (same.status, same.body) == (304, b"")
    # Drawn anew, of the same snapshot: another ETag.
    await api.stores.ai.begin_ai("nike", None)
    await mark(api.stores, run, urls[:1], x=[9.0], y=[9.0])
    changed = await api.get("/brands/nike/map", headers={"If-None-Match": etag})
    assert (changed.status, len(read_map(changed.body)[1])) == (200, 1)


async def test_brands_are_compared(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    base = drawn(6, 1)
    near = base.copy()
    near[3:5] += 0.05 * drawn(2, 2)
    near[5] = -base[5]
    near[3:5] /= np.linalg.norm(near[3:5], axis=1, keepdims=True)
    one = await commit_vectors(api.stores, "nike", base)
    other = await commit_vectors(api.stores, "puma", near)
    found = (await api.get("/brands/nike/compare/puma")).json
    assert found["runs"] == [str(one.id), str(other.id)]
    assert (found["model"], found["compared"]) == ("m", [6, 6])
    assert found["shared"]["count"] == 3
    pair = found["shared"]["items"][0]
    assert pair["asset"]["sha256"] == pair["other"]["sha256"]
    assert (pair["asset"]["brand"], pair["other"]["brand"]) == ("nike", "puma")
    assert found["lookalikes"]["count"] == 2
    alike = found["lookalikes"]["items"]
    assert {p["asset"]["url"] for p in alike} == {"https://x/3", "https://x/4"}
    assert all(p["asset"]["url"] == p["other"]["url"] for p in alike)
    assert 0.9 < alike[1]["similarity"] <= alike[0]["similarity"] < 1
    mean = [v.astype(np.float16).astype(np.float32).mean(axis=0) for v in (base, near)]
    cosine = mean[0] @ mean[1] / np.linalg.norm(mean[0]) / np.linalg.norm(mean[1])
    assert found["similarity"] == pytest.approx(float(cosine), abs=1e-3)
    same = (await api.get("/brands/nike/compare/nike")).json
    assert (same["shared"]["count"], same["lookalikes"]["count"]) == (6, 0)
    await commit_vectors(api.stores, "older", drawn(3, 1), model="older")
    apart = (await api.get("/brands/nike/compare/older")).json
    assert (apart["model"], apart["similarity"], apart["compared"]) == (None, None, [0, 0])


async def test_nearest_and_compare_tell_the_same_of_both_brands(api: Api) -> None:
    base = drawn(6, 1)
    await commit_vectors(api.stores, "bazaar", base)
    assert (await api.get("/brands/bazaar/nearest")).json["items"] == []
    near = np.concatenate([base[:4], drawn(2, 2)])
    # The one that commits last is no longer the only one that knows.
    for brand, vectors in [("pantry", near), ("bazaar", base), ("pantry", near[1:])]:
        await commit_vectors(api.stores, brand, vectors)
        told = []
        for one, other in [("bazaar", "pantry"), ("pantry", "bazaar")]:
            found = (await api.get(f"/brands/{one}/nearest")).json
            side = (await api.get(f"/brands/{one}/compare/{other}")).json
            assert [each["brand"] for each in found["items"]] == [other]
            listed = found["items"][0]
            told += [
                (listed["similarity"], listed["shared"], listed["lookalikes"]),
                (side["similarity"], side["shared"]["count"], side["lookalikes"]["count"]),
            ]
        assert len(set(told)) == 1, told
    assert (await api.get("/brands/nobody/nearest")).status == 404
