"""Lists that are brought as files: kept, checked, run, bounded and deleted, over HTTP."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import io
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.api_server import (
    HOST,
    Api,
    check_described,
    running_worker,
    serving,
    serving_with_keys,
    settings_for,
)
from tests.support.list_files import workbook, zipped
from tests.support.local_pipeline import LOOPBACK
from tests.support.picture_server import Site
from tests.support.waiting import PATIENCE_S, until
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.api.uploads import Uploads, UploadShown
from triptych.objects import CHUNK_BYTES
from triptych.uploads.upload_files import AT_ONCE, PREFIX
from triptych.uploads.upload_store import UPLOADS_MAX
from triptych.wiring.services import connect

pytestmark = pytest.mark.integration

MAX_BYTES = 3 * 1024 * 1024
TABLE = [["Title", "Photo"], ["a", "https://x.example/1.png"], ["b", "https://x.example/2.png"]]
LIST = "url,title\nhttps://x.example/1.png,a\nhttps://x.example/2.png,b\n"
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path, upload_max_bytes=MAX_BYTES) as opened:
        yield opened


async def upload(
    api: Api, body: bytes | str | io.BytesIO, name: str = "a.csv", **options: Any
) -> dict[str, Any]:
    reply = await api.post("/uploads", params={"name": name}, data=body, **options)
    assert reply.status == 201, reply.body
    return dict(reply.json)


def stored(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "objects" / PREFIX
    return [each for each in folder.glob("*") if each.is_file()]


async def test_a_file_is_kept_listed_and_deleted(api: Api, tmp_path: Path) -> None:
    body = workbook({"Shoes": TABLE})
    reply = await api.post("/uploads", params={"name": "C:\\lists\\sh\x07oes.xlsx"}, data=body)
    made = reply.json
    check_described(UploadShown, made)
    assert (reply.status, reply.headers["Location"]) == (201, f"/api/v1/uploads/{made['id']}")
    assert made["source"] == f"upload:{made['id']}"
    assert (made["name"], made["size_bytes"]) == ("shoes.xlsx", len(body))
    assert made["sha256"] == hashlib.sha256(body).hexdigest()
    assert (made["uploaded_by"], made["brands"]) == ("local", [])
    assert made["kept_until"] > made["created_at"]
    other = await upload(api, LIST, "../..")
    assert other["name"] == "list"

    first = (await api.get("/uploads", params={"limit": 1})).json
    check_described(Uploads, first)
    assert ([each["id"] for each in first["items"]], first["max_bytes"]) == (
        [other["id"]],
        MAX_BYTES,
    )
    second = (await api.get("/uploads", params={"limit": 1, "cursor": first["next"]})).json
    assert ([each["id"] for each in second["items"]], second["next"]) == ([made["id"]], None)

    assert len(stored(tmp_path)) == 2
    assert (await api("DELETE", f"/uploads/{made['id']}")).status == 204
    assert len(stored(tmp_path)) == 1
    assert (await api.get(f"/uploads/{made['id']}")).status == 404
    assert (await api("DELETE", f"/uploads/{made['id']}")).status == 404
    audit = [each["action"] for each in (await api.get("/audit")).json["items"]]
    assert audit == ["delete_upload", "upload", "upload"]
    gone = await api.post("/sources/check", json={"source": made["source"]})
    assert (gone.status, gone.json["field"]) == (422, "source")
    assert "Upload the file again" in gone.json["remedy"]


FORMS = {
    "workbook": (workbook({"Shoes": TABLE}), "Excel workbook"),
    "csv-in-gzip": (gzip.compress(LIST.encode()), "CSV"),
    "csv-in-zip": (zipped({"a.csv": LIST.encode()}), "CSV"),
    "utf-16": (LIST.encode("utf-16"), "CSV"),
    "json-lines": (b'{"url": "https://x.example/1.png"}\n{"url": "https://x.example/2.png"}\n', ""),
}


async def test_every_form_is_checked_as_a_list_on_the_server_is(api: Api) -> None:
    for name, (body, form) in FORMS.items():
        made = await upload(api, body, name)
        reply = await api.post("/sources/check", json={"source": made["source"]})
        assert reply.status == 200, (name, reply.json)
        assert (reply.json["items"], reply.json["whole"]) == (2, True), name
        assert form in reply.json["lists"][0]["format"], name
        assert reply.json["lists"][0]["name"] == name
        assert reply.json["lists"][0]["samples"] == {}, "only where they are asked for"


async def test_what_is_no_list_is_refused_clearly(api: Api) -> None:
    for body, says in ((PICTURE, "a PNG picture"), (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "picture")):
        made = await upload(api, body, "photo")
        for samples in (False, True):
            asked = {"source": made["source"], "samples": samples}
            reply = await api.post("/sources/check", json=asked)
            assert (reply.status, says in reply.json["detail"]) == (422, True), reply.json


async def test_columns_can_be_mapped_where_none_is_known_to_have_urls(api: Api) -> None:
    rows = "sku;where;tint\n1;https://x.example/1.png?sig=abcdef;red\n2;https://x.example/2.png;\n"
    made = await upload(api, rows, "strange.csv")
    plain = await api.post("/sources/check", json={"source": made["source"]})
    assert (plain.status, "No column holds URLs" in plain.json["detail"]) == (422, True)

    shown = await api.post("/sources/check", json={"source": made["source"], "samples": True})
    assert shown.status == 200, shown.json
    found = shown.json["lists"][0]
    assert (found["columns"], found["url_columns"]) == (["sku", "where", "tint"], [])
    assert "No column holds URLs" in found["problem"]
    assert found["samples"]["where"] == [
        "https://x.example/1.png?sig=…",
        "https://x.example/2.png",
    ]
    assert found["samples"]["tint"] == ["red"]
    assert shown.json["items"] == shown.json["items_failed"], "a run would have nothing of it"

    chosen = f"{made['source']}#url-column=where&key=sku"
    mapped = await api.post("/sources/check", json={"source": chosen, "samples": True})
    assert (mapped.json["items"], mapped.json["items_failed"]) == (2, 0)
    found = mapped.json["lists"][0]
    assert (found["url_columns"], found["key_column"], found["problem"]) == (
        ["where"],
        "sku",
        None,
    )


async def test_limits_name_themselves_and_the_remedy(api: Api, tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(MAX_BYTES // 1024 + 1):
            yield bytes(1024)

    for body in (io.BytesIO(bytes(MAX_BYTES + 1)), endless()):
        reply = await api.post("/uploads", params={"name": "a"}, data=body)
        assert reply.status == 413
        assert str(MAX_BYTES) in reply.json["detail"]
        assert "TRIPTYCH_UPLOAD_MAX_BYTES" in reply.json["remedy"]
    for nothing in (b"", _none()):
        empty = await api.post("/uploads", params={"name": "a"}, data=nothing)
        assert (empty.status, empty.json["field"]) == (422, "body"), empty.json
    unnamed = await api.post("/uploads", data=LIST)
    assert (unnamed.status, unnamed.json["field"]) == (422, "name")
    assert stored(tmp_path) == []
    whole = await upload(api, io.BytesIO(bytes(MAX_BYTES)), "as large as may be")
    assert whole["size_bytes"] == MAX_BYTES


async def _none() -> AsyncIterator[bytes]:
    for _ in ():
        yield b""


BEGUN_BYTES = 20 * CHUNK_BYTES
"""More than a store's writer keeps in memory: a part of it has a file."""


async def test_a_broken_off_upload_leaves_nothing(migrated_dsn: str, tmp_path: Path) -> None:
    begun = asyncio.Event()

    async def breaks() -> AsyncIterator[bytes]:
        for _ in range(BEGUN_BYTES // CHUNK_BYTES):
            yield bytes(CHUNK_BYTES)
        begun.set()
        await asyncio.Event().wait()

    folder = tmp_path / "objects" / PREFIX
    async with serving(migrated_dsn, tmp_path, upload_max_bytes=2 * BEGUN_BYTES) as api:
        sending = asyncio.create_task(api.post("/uploads", params={"name": "a"}, data=breaks()))
        await asyncio.wait_for(begun.wait(), PATIENCE_S)
        await until(lambda: _listed(folder), bool)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        await until(lambda: _listed(folder), lambda found: not found)
        assert (await api.get("/uploads")).json["items"] == []


async def _listed(folder: Path) -> list[Path]:
    return list(folder.glob("*"))


async def test_several_at_once_are_each_whole_and_more_wait(api: Api) -> None:
    bodies = [f"{LIST}https://x.example/{n}.png,c\n".encode() for n in range(2 * AT_ONCE)]
    made = await asyncio.gather(*(upload(api, body) for body in bodies))
    assert [each["sha256"] for each in made] == [hashlib.sha256(b).hexdigest() for b in bodies]
    assert len({each["id"] for each in made}) == len(bodies)


async def test_the_same_key_is_the_same_upload(api: Api, tmp_path: Path) -> None:
    key = {"Idempotency-Key": "once"}
    made = await upload(api, LIST, headers=key)
    again = await asyncio.gather(*(upload(api, LIST, headers=key) for _ in range(3)))
    assert {each["id"] for each in again} == {made["id"]}
    other = await api.post("/uploads", params={"name": "a.csv"}, data=f"{LIST}\n", headers=key)
    assert (other.status, other.json["reason"]) == (422, "idempotency-key-reused")
    assert len(stored(tmp_path)) == 1, "what was stored again is gone"
    assert (await api("DELETE", f"/uploads/{made['id']}")).status == 204
    gone = await api.post("/uploads", params={"name": "a.csv"}, data=LIST, headers=key)
    assert gone.status == 404
    assert stored(tmp_path) == []


async def test_there_are_not_more_than_so_many(api: Api, tmp_path: Path) -> None:
    await upload(api, LIST)
    await api.stores.databases[0].fetch(
        "insert into uploads (id, object_key, name, size_bytes, sha256, uploaded_by)"
        " select gen_random_uuid(), 'uploads/' || n, 'a', 1, sha256(''), 'local'"
        f" from generate_series(2, {UPLOADS_MAX}) n"
    )
    reply = await api.post("/uploads", params={"name": "a"}, data=LIST)
    assert (reply.status, str(UPLOADS_MAX) in reply.json["detail"]) == (409, True)
    assert len(stored(tmp_path)) == 1


async def test_a_brands_source_is_kept_and_cannot_be_deleted(api: Api) -> None:
    made = await upload(api, LIST)
    source = f"{made['source']}#brand-column="
    started = await api.post("/brands/nike/runs", json={"source": source})
    assert started.status == 202, started.json
    assert (await api.get("/brands/nike")).json["source"] == source, "none of it is a secret"
    shown = (await api.get(f"/uploads/{made['id']}")).json
    assert (shown["brands"], shown["kept_until"]) == (["nike"], None)
    refused = await api("DELETE", f"/uploads/{made['id']}")
    assert (refused.status, "'nike'" in refused.json["detail"]) == (409, True)
    assert (await api.post(f"/runs/{started.json['run']}/cancel")).status == 202
    assert (await api("DELETE", f"/uploads/{made['id']}")).status == 409, "its source still"
    other = {"source": "catalog:https://stores.example"}
    assert (await api.post("/brands/nike/runs", json=other)).status == 202
    assert (await api("DELETE", f"/uploads/{made['id']}")).status == 204


async def test_a_source_that_is_no_upload_is_refused(api: Api) -> None:
    for source in ("upload:x", f"upload:{uuid4()}".upper(), f"upload:{uuid4()}#colour=red"):
        reply = await api.post("/sources/check", json={"source": source})
        assert (reply.status, reply.json["field"]) == (422, "source"), reply.json
    unknown = await api.post("/brands/nike/runs", json={"source": f"upload:{uuid4()}"})
    assert (unknown.status, "There is no upload" in unknown.json["detail"]) == (422, True)


async def test_a_limited_key_has_only_its_own_uploads(migrated_dsn: str, tmp_path: Path) -> None:
    token = new_token()
    async with connect(settings_for(migrated_dsn, tmp_path), migrated_dsn) as services:
        await services.stores.access.create_key(
            "team", Scope.OPERATOR, digest(token), brands=frozenset({"nike"})
        )
    async with serving_with_keys(migrated_dsn, tmp_path, allowed_hosts=(HOST,)) as (api, tokens):
        team, operator, reader = (
            {"headers": {"Authorization": f"Bearer {each}"}}
            for each in (token, tokens["operator"], tokens["reader"])
        )
        foreign = await upload(api, LIST, headers=operator["headers"])
        own = await upload(api, LIST, headers=team["headers"])
        assert own["uploaded_by"] == "key:team"

        async def ids(who: Any) -> list[str]:
            return [each["id"] for each in (await api.get("/uploads", **who)).json["items"]]

        assert await ids(team) == [own["id"]]
        assert await ids(operator) == [own["id"], foreign["id"]]
        for method in ("GET", "DELETE"):
            hidden = await api(method, f"/uploads/{foreign['id']}", **team)
            assert hidden.status == 404
        for path in ("/sources/check", "/brands/nike/runs"):
            refused = await api.post(path, json={"source": foreign["source"]}, **team)
            assert (refused.status, refused.json["field"]) == (422, "source")
        checked = await api.post("/sources/check", json={"source": own["source"]}, **team)
        assert checked.status == 200, checked.json
        run = await api.post("/brands/adidas/runs", json={"source": own["source"]}, **operator)
        assert run.status == 202
        assert (await api.get(f"/uploads/{own['id']}", **team)).json["brands"] == []
        assert (await api.get(f"/uploads/{own['id']}", **operator)).json["brands"] == ["adidas"]
        for method, path in (("POST", "/uploads?name=a"), ("GET", "/uploads")):
            assert (await api(method, path, **reader)).status == 403


async def test_a_workbook_becomes_a_brands_snapshot_and_again_without_naming_it(
    migrated_dsn: str, site: Site, tmp_path: Path
) -> None:
    rows = [["Title", "Photo"], *([f"{n}", f"{site.base}/nike/{n}.png"] for n in range(3))]
    async with serving(migrated_dsn, tmp_path, fetch_allow=LOOPBACK) as api, running_worker(api):
        made = await upload(api, workbook({"Shoes": rows}), "shoes.xlsx")
        source = f"{made['source']}#url-column=Photo"
        for body in ({"source": source}, {}):
            started = await api.post("/brands/nike/runs", json=body)
            run = await until(
                partial(api.get, f"/runs/{started.json['run']}"),
                lambda reply: reply.json["ended_at"] is not None,
            )
            assert (run.json["state"], run.json["done"]) == ("committed", 3), run.json
            assert run.json["source"] == source
        assets = (await api.get("/brands/nike/assets")).json["items"]
        assert sorted(each["metadata"]["Title"] for each in assets) == ["0", "1", "2"]
