"""Immediate answers: what the database has, page by page, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from tests.support.api_server import (
    HTML,
    SVG,
    Api,
    check_described,
    commit,
    fill,
    pictures,
    put_objects,
    serving,
)
from tests.support.postgres import PostgresServer
from triptych.api.http.problems import Problem
from triptych.database.schema import code_level
from triptych.errors import QueueUnavailable
from triptych.gather.urls import item_key
from triptych.objects import object_key, open_store
from triptych.queues.pgmq import PgmqQueue
from triptych.runs.run_shown import BrandShown
from triptych.snapshots.asset_ids import asset_id
from triptych.wiring import web_server
from triptych.wiring.stores import Stores


@pytest.fixture
async def api(migrated_dsn: str, tmp_path: Path) -> AsyncIterator[Api]:
    async with serving(migrated_dsn, tmp_path) as opened:
        yield opened


@dataclass(frozen=True)
class Filled:
    """A server with some of everything, and the ids of its runs by name."""

    api: Api
    ids: dict[str, UUID]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def filled(
    shared_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Filled]:
    """What the tests that only read have in common."""
    async with serving(shared_dsn, tmp_path_factory.mktemp("data")) as opened:
        yield Filled(opened, await fill(opened))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def common(
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Api]:
    """A server for tests that each have a brand, and pictures, of their own."""
    name = postgres_server.create_database(migrated_template)
    async with serving(postgres_server.dsn(name), tmp_path_factory.mktemp("common")) as opened:
        yield opened
    postgres_server.drop_database(name)


async def walk(api: Api, path: str, limit: int) -> list[Any]:
    """Return all entries of a listing, page by page."""
    items: list[Any] = []
    mark = "&" if "?" in path else "?"
    page = (await api.get(f"{path}{mark}limit={limit}")).json
    while True:
        assert len(page["items"]) <= limit
        items += page["items"]
        if page["next"] is None:
            return items
        page = (await api.get(f"{path}{mark}limit={limit}&cursor={page['next']}")).json


@pytest.mark.asyncio(loop_scope="module")
async def test_brands_show_state_counts_phase_and_newest_run(filled: Filled) -> None:
    api, ids = filled.api, filled.ids
    adidas, nike = await walk(api, "/brands", 1)
    assert (adidas["name"], adidas["state"], adidas["phase"]) == ("adidas", "active", "gather")
    assert (nike["name"], nike["state"], nike["assets"]) == ("nike", "committed", 6)
    assert nike["current_run"] == nike["latest"]["id"] == str(ids["new"])
    assert [b["name"] for b in await walk(api, "/brands?state=active", 1)] == ["adidas"]
    assert [b["name"] for b in await walk(api, "/brands?name=IK", 5)] == ["nike"]
    assert (await api.get("/brands/nike")).json == nike
    check_described(BrandShown, nike)


@pytest.mark.asyncio(loop_scope="module")
async def test_passwords_in_sources_are_never_shown(filled: Filled) -> None:
    api = filled.api
    for path in ("/brands", "/runs", "/settings", "/audit", "/tasks"):
        assert b"secret@" not in (await api.get(path)).body


@pytest.mark.asyncio(loop_scope="module")
async def test_g1_a_walk_over_assets_stays_on_the_snapshot_it_began_on(common: Api) -> None:
    await commit(common.stores, "walked", pictures(9))
    first = (await common.get("/brands/walked/assets?limit=4")).json
    await commit(common.stores, "walked", pictures(3, salt="new"))
    seen = list(first["items"])
    while first["next"]:
        first = (await common.get(f"/brands/walked/assets?limit=4&cursor={first['next']}")).json
        seen += first["items"]
    assert len({asset["id"] for asset in seen}) == len(seen) == 9
    assert len({asset["run"] for asset in seen}) == 1
    assert len(await walk(common, "/brands/walked/assets", 500)) == 3


@pytest.mark.asyncio(loop_scope="module")
async def test_an_asset_has_one_id_in_all_snapshots(common: Api) -> None:
    old = await commit(common.stores, "changed", pictures(2))
    new = await commit(common.stores, "changed", pictures(2, salt="new"))
    name = asset_id("changed", item_key("https://x.example/0"))
    now = (await common.get(f"/assets/{name}")).json
    before = (await common.get(f"/assets/{name}?run={old.id}")).json
    assert (now["run"], before["run"]) == (str(new.id), str(old.id))
    assert now["sha256"] != before["sha256"]
    assert (await common.get(f"/assets/{name}?run={uuid4()}")).status == 404


@pytest.mark.asyncio(loop_scope="module")
async def test_assets_are_filtered_by_type_text_and_colour(filled: Filled) -> None:
    api = filled.api
    assets = await walk(api, "/brands/nike/assets", 3)
    assert [a["media_type"] for a in await walk(api, "/brands/nike/assets?media_type=image/*", 3)]
    (svg,) = await walk(api, "/brands/nike/assets?media_type=image/svg%2Bxml", 3)
    assert svg["url"] == "https://x.example/svg"
    (found,) = await walk(api, "/brands/nike/assets?text=ABOUT%20https://x.example/svg", 3)
    assert found["id"] == svg["id"]
    assert not await walk(api, "/brands/nike/assets?text=100%25", 3)
    colour = assets[0]["colours"][0]["hex"]
    near = await walk(api, f"/brands/nike/assets?colour={colour}&within=0", 3)
    assert near == [a for a in assets if a["colours"][0]["hex"] == colour]
    assert len(await walk(api, f"/brands/nike/assets?colour={colour}&within=765", 3)) == 6


@pytest.mark.asyncio(loop_scope="module")
async def test_a_narrow_filter_ends_pages_early_and_loses_nothing(
    common: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.snapshots.postgres.postgres_snapshots.ASSETS_SCAN", 10)
    monkeypatch.setattr("triptych.snapshots.postgres.postgres_snapshots.DIFFERENCE_SCAN", 10)
    old = await commit(common.stores, "narrow", pictures(95))
    new = await commit(common.stores, "narrow", {**pictures(60), **pictures(5, salt="!")})
    found = await walk(common, "/brands/narrow/assets?text=x.example/7", 50)
    assert [a["url"] for a in found] == ["https://x.example/7"]
    assert len(await walk(common, "/brands/narrow/assets?text=x.example", 7)) == 60
    changes = await walk(common, f"/brands/narrow/snapshots/{old.id}/diff/{new.id}", 4)
    kinds = [change["change"] for change in changes]
    assert (kinds.count("changed"), kinds.count("removed"), kinds.count("added")) == (5, 35, 0)
    assert len({change["id"] for change in changes}) == 40
    removed = await walk(common, f"/brands/narrow/snapshots/{new.id}/diff/{old.id}?change=added", 4)
    assert len(removed) == 35


@pytest.mark.asyncio(loop_scope="module")
async def test_snapshots_are_listed_newest_first(filled: Filled) -> None:
    api, ids = filled.api, filled.ids
    new, old = await walk(api, "/brands/nike/snapshots", 1)
    assert [(s["run"], s["current"]) for s in (new, old)] == [
        (str(ids["new"]), True),
        (str(ids["old"]), False),
    ]
    assert (new["assets"], new["added"], new["removed"]) == (6, 1, 2)
    other = await api.get(f"/brands/nike/snapshots/{ids['old']}/diff/{ids['active']}")
    assert (other.status, other.json["reason"]) == (404, "run-not-found")


@pytest.mark.asyncio(loop_scope="module")
async def test_runs_their_timeline_and_their_failures(filled: Filled) -> None:
    api, ids = filled.api, filled.ids
    runs = await walk(api, "/runs", 1)
    assert [run["id"] for run in runs] == [str(ids[n]) for n in ("active", "new", "old")]
    assert [r["id"] for r in await walk(api, "/runs?state=committed&brand=nike", 1)] == [
        str(ids["new"]),
        str(ids["old"]),
    ]
    assert len(await walk(api, "/runs?state=active", 1)) == 1
    assert (await api.get(f"/runs/{ids['old']}")).json == runs[2]
    whole = (await api.get(f"/runs/{ids['old']}/timeline")).json
    assert [event["seq"] for event in whole["items"]] == list(range(1, whole["next"] + 1))
    rest = (await api.get(f"/runs/{ids['old']}/timeline?after=2")).json
    assert rest["items"] == whole["items"][2:]
    (group,) = (await api.get(f"/runs/{ids['old']}/failures")).json["items"]
    assert (group["reason"], group["count"]) == ("not_found", 3)
    assert group["redrive"] == "if the file is there again"
    failed = await walk(api, f"/runs/{ids['old']}/failures/not_found", 2)
    assert [item["url"] for item in failed] == [f"https://gone.example/{n}" for n in range(3)]


async def test_stalled_runs_are_found_and_counted(api: Api) -> None:
    ids = await fill(api)
    nothing = await walk(api, "/runs?stalled=true", 1)
    await api.stores.databases[0].fetch(
        "update runs set progressed_at = progressed_at - interval '1 hour'"
    )
    assert await api.stores.runs.mark_stalled(after_s=600, limit=9) == [ids["active"]]
    (found,) = await walk(api, "/runs?stalled=true", 1)
    assert (nothing, found["id"], found["stalled"]) == ([], str(ids["active"]), True)
    assert found["state"] == "active"
    assert (await api.get(f"/runs/{ids['active']}")).json == found
    assert await walk(api, "/runs?stalled=true&brand=adidas&state=active", 1) == [found]
    assert await walk(api, "/runs?stalled=true&brand=nike", 1) == []
    assert len(await walk(api, "/runs?stalled=false", 5)) == 3
    assert (await api.get("/brands/adidas")).json["latest"] == found
    assert (await api.get("/runs?stalled=maybe")).status == 422
    told = (await api.get("/metrics")).body.decode()
    assert "triptych_runs_stalled 1.0" in told
    assert (await api.get(f"/runs/{ids['active']}/pace")).json["last_try"] is None


@pytest.mark.asyncio(loop_scope="module")
async def test_failures_of_an_active_run_are_counted_too(common: Api) -> None:
    opened = await common.registry.open("active", source="manifest:x.csv")
    rows = [(f"https://x.example/{n}", n) for n in range(3)]
    from triptych.model import ItemResult, NewItem, Reason

    items = [NewItem(item_key(url), url, {}) for url, _ in rows]
    await common.stores.runs.expect(opened.run.id, items, cursor=None, limit=10)
    await common.stores.runs.settle(
        opened.run.id, [ItemResult(items[0].key, None, Reason.THROTTLED, "429")], limit=10
    )
    (group,) = (await common.get(f"/runs/{opened.run.id}/failures")).json["items"]
    assert (group["reason"], group["count"]) == ("throttled", 1)


@pytest.mark.asyncio(loop_scope="module")
async def test_the_machinery_is_shown(filled: Filled) -> None:
    api, ids = filled.api, filled.ids
    queues = (await api.get("/queues")).json
    assert {q["queue"] for q in queues["items"]} >= {"url-process-queue"}
    assert queues["dead_letters"] == 2
    newest, oldest = await walk(api, "/dead-letters", 1)
    assert (newest["message_id"], newest["body"]) == ("m2", "no object")
    assert oldest["run"] == str(ids["old"])
    insights = (await api.get("/brands/nike/insights")).json
    assert (insights["run"], insights["items"][0]["kind"]) == (str(ids["new"]), "duplicates")
    assert (await api.get("/brands/adidas/insights")).json["run"] is None
    settings = {s["name"]: s for s in (await api.get("/settings")).json["items"]}
    assert settings["data"]["origin"] == "command line"
    assert (await api.get("/healthz")).status == (await api.get("/readyz")).status == 200


@pytest.mark.asyncio(loop_scope="module")
async def test_content_in_parts_and_when_it_changed(filled: Filled) -> None:
    api = filled.api
    name = asset_id("nike", item_key("https://x.example/4"))
    body = b"picture 4" * 50
    path = f"/assets/{name}/content"
    whole = await api.get(path)
    assert (whole.status, whole.body) == (200, body)
    etag = whole.headers["ETag"]
    for asked, status, part in [
        ("bytes=0-8", 206, body[:9]),
        ("bytes=440-", 206, body[440:]),
        ("bytes=-3", 206, body[-3:]),
        ("bytes=449-9999", 206, body[449:]),
        ("bytes=5-1", 200, body),
        ("bytes=0-1,5-6", 200, body),
        ("pages=1-2", 200, body),
        ("bytes=450-", 416, None),
        ("bytes=-0", 416, None),
    ]:
        reply = await api.get(path, headers={"Range": asked})
        assert reply.status == status, asked
        if part is not None:
            assert reply.body == part, asked
            assert reply.headers["Content-Length"] == str(len(part))
    first = await api.get(path, headers={"Range": "bytes=0-8"})
    assert first.headers["Content-Range"] == "bytes 0-8/450"
    assert (await api.get(path, headers={"If-None-Match": f'"x", {etag}'})).status == 304
    other = await api.get(path, headers={"Range": "bytes=0-8", "If-Range": '"other"'})
    assert other.status == 200
    head = await api("HEAD", path)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "450")


KINDS = [
    (b"png", "image/png", True),
    (SVG, "image/svg+xml", False),
    (HTML, "text/html", False),
    (b"x" + HTML, "application/xhtml+xml", False),
    (b"y" + HTML, "application/pdf", False),
    (b"z" + HTML, 'image/png"; x\r\nSet-Cookie: a=b', False),
    (b"heic", "image/heic", False),
]


@pytest.mark.asyncio(loop_scope="module")
async def test_g9_active_content_is_never_shown_inline(common: Api) -> None:
    contents = {f"https://x.example/{n}": kind[:2] for n, kind in enumerate(KINDS)}
    await put_objects(
        common.services.settings, {u: (b, "image/png") for u, (b, _) in contents.items()}
    )
    await commit(common.stores, "shown", contents)
    for url, (body, media_type, inline) in zip(contents, KINDS, strict=True):
        reply = await common.get(f"/assets/{asset_id('shown', item_key(url))}/content")
        assert (reply.status, reply.body) == (200, body), media_type
        headers = reply.headers
        assert headers["Content-Disposition"].startswith("inline" if inline else "attachment")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in headers["Content-Security-Policy"]
        assert "Set-Cookie" not in headers
        if media_type not in {"image/heic", "image/png"}:
            assert headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize("left", [None, b"", b"picture 0"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_lost_object_is_reported_with_the_remedy(common: Api, left: bytes | None) -> None:
    await commit(common.stores, "lost", contents := pictures(1, salt=f"lost {left!r}"))
    ((body, _),) = contents.values()
    if left is not None:
        settings = common.services.settings
        key = object_key(hashlib.sha256(body).digest())
        await open_store(settings.store_url, settings.data / "objects").put_as(key, left, "x")
    reason = "object-missing" if left is None else "object-damaged"
    path = f"/assets/{asset_id('lost', item_key('https://x.example/0'))}"
    # Content is read in parts, each with the size of the whole; a thumbnail needs all of it.
    expected = {f"{path}/content": "object-missing", f"{path}/thumbnail": reason}
    for asked, told in expected.items():
        reply = await common.get(asked)
        assert (reply.status, reply.json["reason"]) == (404, told), asked
        assert "Run its brand again" in reply.json["remedy"]
    part = await common.get(f"{path}/content", headers={"Range": "bytes=3-5"})
    assert (part.status, part.json["reason"]) == (404, "object-missing")
    assert (await common("HEAD", f"{path}/content")).status == 404


async def test_a_store_that_is_away_is_reported_before_anything_is_sent(api: Api) -> None:
    await commit(api.stores, "nike", pictures(1))
    (api.services.settings.data / "objects" / "sha256").rename(api.services.settings.data / "aside")
    (api.services.settings.data / "objects" / "sha256").write_text("in the way")
    name = asset_id("nike", item_key("https://x.example/0"))
    reply = await api.get(f"/assets/{name}/content")
    assert (reply.status, reply.json["reason"]) == (503, "store-unavailable")
    assert reply.headers["Retry-After"]


STRANGE = [
    ("GET", "/brands/nobody", 404, "brand-not-found"),
    ("GET", "/brands/%00", 422, "invalid-brand"),
    ("GET", "/brands/" + "x" * 101, 422, "invalid-request"),
    ("GET", "/brands/" + "x" * 5000, 422, "invalid-request"),
    ("GET", "/brands/%FF%FE", 404, "brand-not-found"),
    ("GET", "/brands/nobody/assets", 404, "brand-not-found"),
    ("GET", "/brands?limit=501", 422, "invalid-request"),
    ("GET", "/brands?limit=1e3", 422, "invalid-request"),
    ("GET", "/brands?bogus=1", 422, "invalid-request"),
    ("GET", "/brands?name=%00", 422, "invalid-request"),
    ("GET", "/brands?cursor=AAAA", 422, "invalid-cursor"),
    ("GET", "/brands?cursor=" + "A" * 1025, 422, "invalid-request"),
    ("GET", "/brands?cursor=%C3%A9", 422, "invalid-request"),
    ("GET", "/brands/nike/assets?within=NaN", 422, "invalid-request"),
    ("GET", "/brands/nike/assets?within=inf", 422, "invalid-request"),
    ("GET", "/brands/nike/assets?colour=zzzzzz", 422, "invalid-request"),
    ("GET", "/assets/AAAA", 404, "asset-not-found"),
    ("GET", "/assets/%E2%98%83", 404, "asset-not-found"),
    ("GET", "/assets/" + "A" * 2000, 404, "asset-not-found"),
    ("GET", "/runs/1", 422, "invalid-request"),
    ("GET", f"/runs/{uuid4()}", 404, "run-not-found"),
    ("GET", f"/runs/{uuid4()}/timeline?after=99999999999999999999", 422, "invalid-request"),
    ("GET", f"/runs/{uuid4()}/failures/boring", 422, "invalid-request"),
    ("GET", f"/tasks/{uuid4()}", 404, "task-not-found"),
    ("GET", "/nowhere", 404, "not-found"),
    ("DELETE", "/runs", 405, "method-not-allowed"),
]


@pytest.mark.asyncio(loop_scope="module")
async def test_strange_requests_are_problems_of_the_asker(filled: Filled) -> None:
    for method, path, status, reason in STRANGE:
        reply = await filled.api(method, path)
        assert (reply.status, reply.json["reason"]) == (status, reason), path
        assert reply.headers["Content-Type"] == "application/problem+json"
        Problem.model_validate(reply.json)


@pytest.mark.asyncio(loop_scope="module")
async def test_cursors_that_were_changed_or_are_of_another_listing_are_refused(
    filled: Filled,
) -> None:
    api = filled.api
    cursor = (await api.get("/brands?limit=1")).json["next"]
    assets = (await api.get("/brands/nike/assets?limit=1")).json["next"]
    flipped = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    for path in (
        f"/brands?cursor={flipped}",
        f"/brands?cursor={cursor[:-2]}",
        f"/brands?state=active&cursor={cursor}",
        f"/brands?cursor={assets}",
        f"/runs?cursor={cursor}",
        f"/brands/adidas/assets?cursor={assets}",
        f"/brands/nike/assets?media_type=image/*&cursor={assets}",
    ):
        reply = await api.get(path)
        assert (reply.status, reply.json["reason"]) == (422, "invalid-cursor"), path
        assert reply.json["field"] == "cursor"


async def test_a_defect_answers_with_a_name_and_nothing_of_the_inside(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ValueError("s3cret of the inside")

    monkeypatch.setattr(api.stores.runs, "run", broken)
    reply = await api.get(f"/runs/{uuid4()}")
    assert (reply.status, reply.json["reason"]) == (500, "internal")
    assert b"s3cret" not in reply.body
    assert reply.json["instance"].startswith("urn:uuid:")


async def test_readiness_that_many_ask_for_costs_one_check(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = 0

    async def counting(*_: object) -> None:
        nonlocal checks
        checks += 1

    monkeypatch.setattr(web_server, "READY_KEPT_S", 3600.0)
    async with serving(migrated_dsn, tmp_path) as api:
        monkeypatch.setattr(Stores, "check", counting)
        answers = await asyncio.gather(*(api.get("/readyz") for _ in range(100)))
    assert {answer.status for answer in answers} == {200}
    assert checks == 1


async def test_a_server_is_ready_on_every_schema_that_serves_it(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = "insert into compatible_migrations values ('9000_ahead', {}, '{{}}', now())"
    monkeypatch.setattr(web_server, "READY_KEPT_S", 0.0)
    async with serving(migrated_dsn, tmp_path) as api:
        (database, *_) = api.stores.databases
        await database.fetch(ahead.format(code_level()))
        assert (await api.get("/readyz")).status == 200
        await database.fetch(f"update compatible_migrations set oldest = {code_level() + 1}")
        refused = await api.get("/readyz")
        assert (refused.status, refused.json["reason"]) == (503, "database-unavailable")
        assert "9000_ahead needs code of schema level" in refused.json["detail"]
        assert (await api.get("/healthz")).status == 200


async def test_a_server_becomes_ready_with_its_queues_and_stays_so_without_them(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object) -> None:
        raise QueueUnavailable

    monkeypatch.setattr(web_server, "READY_KEPT_S", 0.0)
    async with serving(migrated_dsn, tmp_path) as api:
        with monkeypatch.context() as outage:
            outage.setattr(PgmqQueue, "check", away)
            starting = await api.get("/readyz")
            assert (starting.status, starting.json["reason"]) == (503, "queue-unavailable")
        assert (await api.get("/readyz")).status == 200
        monkeypatch.setattr(PgmqQueue, "check", away)
        assert (await api.get("/readyz")).status == 200


async def test_what_needs_a_migration_says_so_and_all_else_is_answered(
    migrated_dsn: str, tmp_path: Path
) -> None:
    async with serving(migrated_dsn, tmp_path) as api:
        (database, *_) = api.stores.databases
        await database.fetch("alter table audit rename to later")
        behind = await api.get("/audit")
        assert (behind.status, behind.json["reason"]) == (503, "schema-behind")
        assert "triptych migrate" in behind.json["remedy"]
        assert (await api.get("/brands")).status == 200
        await database.fetch("alter table later rename to audit")
        assert (await api.get("/audit")).status == 200


async def test_a_database_that_is_away_is_a_503_and_the_server_still_lives(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    from triptych.errors import DatabaseUnavailable

    async def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(Stores, "check", away)
    ready = await api.get("/readyz")
    assert (ready.status, ready.json["reason"]) == (503, "database-unavailable")
    assert (await api.get("/healthz")).status == 200
