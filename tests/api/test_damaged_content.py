"""Damaged objects over the API: no client takes what it gets for the asset's bytes."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest

from tests.support.api_server import Api, commit, put_objects, running_worker, serving
from tests.support.object_damage import DAMAGES, SAME_SIZE, damage, overwrite, swap
from tests.support.waiting import until
from triptych.gather.urls import item_key
from triptych.messages import Phase
from triptych.objects import CHUNK_BYTES, ObjectStore, object_key, open_store
from triptych.snapshots.asset_ids import asset_id

SMALL = b"content of an asset" * 50
LARGE = random.Random(2).randbytes(2 * CHUNK_BYTES + 77)
CONTENTS = {
    "https://x.example/small": (SMALL, "image/png"),
    "https://x.example/other": (SMALL[::-1], "image/png"),
    "https://x.example/large": (LARGE, "image/png"),
}
EDGES = {size: random.Random(size).randbytes(size) for size in (CHUNK_BYTES, CHUNK_BYTES + 1)}


def key_of(body: bytes) -> str:
    return object_key(hashlib.sha256(body).digest())


def path_of(name: str) -> str:
    return f"/assets/{asset_id('nike', item_key(f'https://x.example/{name}'))}/content"


@pytest.fixture(params=["file:", "s3:"])
def store_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue("bucket") if request.param == "s3:" else request.param
    return url


@pytest.fixture
async def api(store_url: str, migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path, store_url=store_url) as api:
        await put_objects(api.services.settings, CONTENTS)
        await commit(api.stores, "nike", CONTENTS)
        yield api


def store_of(api: Api) -> ObjectStore:
    settings = api.services.settings
    return open_store(settings.store_url, settings.data / "objects")


async def raw(api: Api, path: str, head: str = "") -> tuple[bytes, bytes]:
    """Return a response's head, and all bytes of its body until the connection is closed."""
    place = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(place.hostname, place.port)
    request = (
        f"GET /api/v1{path} HTTP/1.1\r\nHost: {place.netloc}\r\n{head}Connection: close\r\n\r\n"
    )
    writer.write(request.encode())
    answer = await reader.read(-1)
    writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    return top, body


async def test_a_small_one_is_a_problem_with_its_remedy(api: Api) -> None:
    assert (await api.get(path_of("small"))).body == SMALL
    for name, how in DAMAGES.items():
        overwrite(store_of(api), key_of(SMALL), how(SMALL))
        for headers in ({}, {"Range": "bytes=0-"}):
            reply = await api.get(path_of("small"), headers=headers)
            assert reply.status == 404, name
            assert reply.json["reason"] in {"object-damaged", "object-missing"}
            assert "Run its brand again" in reply.json["remedy"]
            assert SMALL[:19] not in reply.body


@pytest.mark.parametrize("asked", ["", "Range: bytes=0-\r\n"], ids=["whole", "range of all"])
async def test_a_large_one_is_cut_before_its_last_byte(api: Api, asked: str) -> None:
    top, body = await raw(api, path_of("large"), asked)
    assert body == LARGE
    for name, how in SAME_SIZE.items():
        overwrite(store_of(api), key_of(LARGE), how(LARGE))
        top, body = await raw(api, path_of("large"), asked)
        assert f"content-length: {len(LARGE)}".encode() in top.lower()
        assert len(body) == 2 * CHUNK_BYTES, name
        with pytest.raises(aiohttp.ClientPayloadError):
            await api.get(path_of("large"))


@pytest.mark.parametrize("size", EDGES)
async def test_the_limit_between_them_is_a_chunk(
    migrated_dsn: str, tmp_path: Path, size: int
) -> None:
    contents = {"https://x.example/edge": (EDGES[size], "image/png")}
    async with serving(migrated_dsn, tmp_path) as api:
        await put_objects(api.services.settings, contents)
        await commit(api.stores, "nike", contents)
        assert (await api.get(path_of("edge"))).body == EDGES[size]
        damage(store_of(api), key_of(EDGES[size]), DAMAGES["last_flipped"])
        top, body = await raw(api, path_of("edge"))
    if size > CHUNK_BYTES:
        assert b"200 OK" in top
        assert len(body) == CHUNK_BYTES
    else:
        assert b"404 Not Found" in top
        assert b"object-damaged" in body


async def test_swapped_ones_are_both_refused(api: Api) -> None:
    swap(store_of(api), key_of(SMALL), key_of(SMALL[::-1]))
    for name in ("small", "other"):
        reply = await api.get(path_of(name))
        assert (reply.status, reply.json["reason"]) == (404, "object-damaged")


async def test_a_lost_one_is_missing(api: Api) -> None:
    await store_of(api).delete([key_of(SMALL), key_of(LARGE)])
    for name in ("small", "large"):
        reply = await api.get(path_of(name))
        assert (reply.status, reply.json["reason"]) == (404, "object-missing")


async def test_a_part_is_served_as_it_is(api: Api) -> None:
    damage(store_of(api), key_of(LARGE), DAMAGES["last_flipped"])
    reply = await api.get(path_of("large"), headers={"Range": "bytes=0-9"})
    assert (reply.status, reply.body) == (206, LARGE[:10])


async def test_no_thumbnail_is_made_of_it(api: Api) -> None:
    damage(store_of(api), key_of(SMALL), DAMAGES["flipped"])
    reply = await api.get(path_of("small").replace("/content", "/thumbnail"))
    assert (reply.status, reply.json["reason"]) == (404, "object-damaged")


async def test_an_export_with_pictures_fails_and_says_which(api: Api) -> None:
    damage(store_of(api), key_of(LARGE), DAMAGES["flipped"])
    async with running_worker(api, Phase.AI):
        reply = await api.post("/brands/nike/exports", json={"format": "webdataset"})
        assert reply.status == 202
        task = reply.json["id"]

        async def state() -> dict[str, object]:
            shown: dict[str, object] = (await api.get(f"/tasks/{task}")).json
            return shown

        shown = await until(state, lambda found: found["state"] in {"done", "failed"})
    assert shown["state"] == "failed"
    result = shown["result"]
    assert isinstance(result, dict)
    assert key_of(LARGE) in result["error"]
    assert "verify --repair" in result["remedy"]


async def test_a_damaged_file_of_an_export_is_not_taken_for_whole(api: Api) -> None:
    async with running_worker(api, Phase.AI):
        task = (await api.post("/brands/nike/exports", json={"format": "webdataset"})).json["id"]
        shown = await until(
            lambda: api.get(f"/tasks/{task}"), lambda reply: reply.json["ended_at"] is not None
        )
    (file,) = shown.json["result"]["files"]
    path, key = f"/tasks/{task}/files/{file['name']}", f"exports/{task}/{file['name']}"
    assert (await api.get(path)).status == 200
    damage(store_of(api), key, DAMAGES["first_flipped"])
    _, body = await raw(api, path)
    assert CHUNK_BYTES <= len(body) < file["size_bytes"]
    overwrite(store_of(api), key, b"")
    assert (await api.get(path)).status == 404
    assert await api.stores.damage.count() == 0, "no run can fetch it again"
