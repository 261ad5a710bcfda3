"""Who may name which source: at the API, and again at the worker that reads it."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.api_server import HOST, Api, bearer, running_worker, serving, settings_for
from tests.support.waiting import until
from triptych.access.access_store import Scope
from triptych.access.identity import digest, new_token
from triptych.messages import GATHER_QUEUE, Message
from triptych.wiring.services import connect

pytestmark = pytest.mark.integration

SECRET = "AKIAVERYSECRET"
OTHER_UID = 10_001
COLUMNS = "sku,secret-column\n1,2\n3,4\n"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    folder = tmp_path / "listed"
    folder.mkdir()
    (folder / "urls.csv").write_text("url\n")
    (folder / "columns.csv").write_text(COLUMNS)
    (folder / "one-line").write_text(f"{SECRET}\n")
    (folder / "one-line,with,commas").write_text(f"{SECRET},{SECRET},{SECRET}\n")
    (tmp_path / "elsewhere.csv").write_text(COLUMNS)
    return folder


@asynccontextmanager
async def keyed(dsn: str, tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Api, Any]]:
    """A server that asks for keys, and what sends it requests with an operator's."""
    folders = str(tmp_path / "listed")
    options = {"allowed_hosts": (HOST,), "source_folders": folders, **settings}
    loaded, token = settings_for(dsn, tmp_path / "data", **options), new_token()
    async with connect(loaded, dsn) as services:
        await services.stores.access.create_key("operator", Scope.OPERATOR, digest(token))
    async with serving(dsn, tmp_path / "data", **options) as api:
        yield api, partial(api, headers=bearer(token))


async def ended(api: Api, run: str) -> dict[str, Any]:
    """Wait for a run's end; return it."""

    async def read() -> Any:
        return await api.stores.runs.run(run)  # type: ignore[arg-type]

    found = await until(read, lambda run: run.state.value != "active")
    return {"state": found.state.value, "reason": found.reason or ""}


async def test_with_a_key_what_is_not_listed_is_refused_everywhere_and_not_kept(
    migrated_dsn: str, tmp_path: Path, listed: Path
) -> None:
    async with keyed(migrated_dsn, tmp_path, source_buckets="s3://lists") as (_, ask):
        sources = {
            f"folder:{tmp_path}": "TRIPTYCH_SOURCE_FOLDERS",
            f"folder:{listed}2": "TRIPTYCH_SOURCE_FOLDERS",
            "bucket:s3://payroll": "TRIPTYCH_SOURCE_BUCKETS",
            "bucket:gs://lists/a": "TRIPTYCH_SOURCE_BUCKETS",
        }
        places = {
            f"{tmp_path}/elsewhere.csv": "TRIPTYCH_SOURCE_FOLDERS",
            f"{listed}/../elsewhere.csv": "TRIPTYCH_SOURCE_FOLDERS",
            f"file://{tmp_path}/elsewhere.csv": "TRIPTYCH_SOURCE_FOLDERS",
            "s3://payroll/salaries.csv": "TRIPTYCH_SOURCE_BUCKETS",
            "S3://payroll/salaries.csv": "TRIPTYCH_SOURCE_BUCKETS",
            "s3://lists-of-others/x.csv": "TRIPTYCH_SOURCE_BUCKETS",
            "gs://lists/x.csv": "TRIPTYCH_SOURCE_BUCKETS",
        }
        sources |= {f"manifest:{place}": setting for place, setting in places.items()}
        for spec, setting in sources.items():
            source = {"source": spec}
            for method, path in (
                ("POST", "/brands/nike/runs"),
                ("PUT", "/brands/nike"),
                ("POST", "/sources/check"),
            ):
                reply = await ask(method, path, json=source)
                assert (reply.status, reply.json["field"]) == (422, "source"), (path, reply.json)
                assert setting in reply.json["remedy"], reply.json
                assert "secret-column" not in reply.body.decode()
        assert (await ask("GET", "/brands")).json["items"] == []
        for place in (f"{listed}/urls.csv", "s3://lists/a/b.csv"):
            source = {"source": f"manifest:{place}"}
            assert (await ask("PUT", "/brands/nike", json=source)).status == 202
        (listed / "1.jpg").write_bytes(b"x")
        given = {"source": f"folder:{listed}", "brand": "nike"}
        check = (await ask("POST", "/sources/check", json=given)).json
        assert check["first_rows"][0]["url"] == f"file://{listed}/1.jpg"
        assert check["rows_read"] == check["items"] + check["rows_refused"]


async def test_a_worker_refuses_what_nobody_was_let_name(
    migrated_dsn: str, tmp_path: Path, listed: Path
) -> None:
    """Whatever has put it into the database: an older version, other settings, another program."""
    (listed / "link.csv").symlink_to(tmp_path / "elsewhere.csv")
    places = (tmp_path / "elsewhere.csv", listed / "link.csv", "s3://payroll/salaries.csv")
    async with keyed(migrated_dsn, tmp_path) as (api, _), running_worker(api):
        for number, place in enumerate(places):
            brand = f"brand{number}"
            source = f"manifest:{place}"
            await api.stores.brands.put_brand(brand, source=source, schedule=None, due_at=None)
            await api.queue.send(GATHER_QUEUE, [Message({"brand": brand})])
            run = await until(partial(_latest, api, brand))
            found = await ended(api, run)
            assert found["state"] == "failed"
            assert "TRIPTYCH_SOURCE_" in found["reason"]
            assert "secret-column" not in found["reason"]


async def _latest(api: Api, brand: str) -> Any:
    latest = (await api.stores.brands.brand(brand)).latest
    return latest and latest.id


async def test_a_worker_reads_what_the_servers_own_user_named(
    migrated_dsn: str, tmp_path: Path, listed: Path
) -> None:
    place = tmp_path / "elsewhere.csv"
    async with serving(migrated_dsn, tmp_path / "data") as api, running_worker(api):
        reply = await api.post("/brands/nike/runs", json={"source": f"manifest:{place}"})
        assert reply.status == 202, reply.json
        found = await ended(api, reply.json["run"])
        assert "secret-column" in found["reason"], "he may read it, so he is told"
        saved = await api("PUT", "/brands/nike", json={"source": f"manifest:{place}"})
        assert saved.status == 202
        later = await api.post("/brands/nike/runs")
        assert "secret-column" in (await ended(api, later.json["run"]))["reason"]
        await api.stores.brands.put_brand(
            "adidas", source=f"manifest:{place}", schedule=None, due_at=None
        )
        other = await api.post("/brands/adidas/runs")
        assert "in no listed folder" in (await ended(api, other.json["run"]))["reason"]


async def test_a_source_of_which_nothing_is_read_is_not_kept(
    migrated_dsn: str, tmp_path: Path, listed: Path
) -> None:
    async with serving(migrated_dsn, tmp_path / "data") as api, running_worker(api):

        async def run(**body: str) -> dict[str, Any]:
            reply = await api.post("/brands/nike/runs", json=body)
            return await ended(api, reply.json["run"])

        async def kept() -> Any:
            return (await api.get("/brands/nike")).json["source"]

        assert "There is no file" in (await run(source=f"manifest:{tmp_path}/x.csv"))["reason"]
        assert await kept() is None
        assert "has no source" in (await run())["reason"]
        good = f"manifest:{listed}/urls.csv"
        assert (await run(source=good))["state"] == "committed"
        assert (await run(source=f"manifest:{listed}/one-line"))["state"] == "failed"
        assert await kept() == good
        refused = await api.post("/brands/nike/runs", json={"source": "ftp:x"})
        assert (refused.status, await kept()) == (422, good)
        assert (await run())["state"] == "committed"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")
async def test_another_account_may_not_name_the_servers_files(
    migrated_dsn: str, tmp_path: Path, listed: Path
) -> None:
    async with serving(migrated_dsn, tmp_path / "data", source_folders=str(listed)) as api:
        for path in ("/brands/nike/runs", "/sources/check"):
            for place in (tmp_path / "elsewhere.csv", tmp_path / "nowhere.csv", "s3://payroll/x"):
                status, body = await _as_other(api, path, {"source": f"manifest:{place}"})
                assert status == 422, body
                assert "listed" in body
                assert f"User {OTHER_UID} has opened the connection" in body
                assert "secret-column" not in body
        status, body = await _as_other(
            api, "/sources/check", {"source": f"manifest:{listed}/urls.csv"}
        )
        assert status == 200, body
        same = await api.post("/sources/check", json={"source": f"manifest:{listed.parent}/x.csv"})
        assert "There is no file" in same.json["detail"]


async def _as_other(api: Api, path: str, body: dict[str, str]) -> tuple[int, str]:
    """Send a request as another user."""
    text = json.dumps(body)
    head = (
        f"POST /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n{text}"
    )
    port = api.url.rpartition(":")[2]
    script = f'exec 3<>/dev/tcp/127.0.0.1/{port}; printf %s "$1" >&3; cat <&3'
    process = await asyncio.create_subprocess_exec(
        *("/bin/bash", "-c", script, "bash", head),
        stdout=asyncio.subprocess.PIPE,
        user=OTHER_UID,
        group=OTHER_UID,
        extra_groups=[],
    )
    answer = (await process.communicate())[0].decode()
    return int(answer.split()[1]), answer


async def test_the_first_line_of_what_is_no_list_is_never_quoted(
    migrated_dsn: str, tmp_path: Path, listed: Path
) -> None:
    async with keyed(migrated_dsn, tmp_path) as (api, ask), running_worker(api):
        for name in ("one-line", "one-line,with,commas"):
            source = {"source": f"manifest:{listed / name}"}
            check = await ask("POST", "/sources/check", json=source)
            assert (check.status, SECRET in check.body.decode()) == (422, False), check.json
            reply = await ask("POST", f"/brands/{name.split(',')[0]}/runs", json=source)
            run = await ended(api, reply.json["run"])
            assert "No column holds URLs" in run["reason"]
            assert SECRET not in run["reason"]
        columns = {"source": f"manifest:{listed}/columns.csv"}
        check = await ask("POST", "/sources/check", json=columns)
        assert "sku, secret-column" in check.json["detail"], "a listed folder is for all"


async def test_what_only_the_server_reaches_is_not_quoted(
    migrated_dsn: str, tmp_path: Path, listed: Path
) -> None:
    async def columns(_: web.Request) -> web.Response:
        return web.Response(text=COLUMNS)

    app = web.Application()
    app.router.add_get("/columns.csv", columns)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    place = f"http://127.0.0.1:{runner.addresses[0][1]}/columns.csv"
    own = f"manifest:{tmp_path}/elsewhere.csv"
    try:
        options = {"fetch_allow": "127.0.0.1/32", "source": own}
        async with keyed(migrated_dsn, tmp_path, **options) as (api, ask), running_worker(api):
            check = await ask("POST", "/sources/check", json={"source": f"manifest:{place}"})
            assert "secret-column" not in check.json["detail"], check.json
            assert "shown only where" in check.json["detail"]
            reply = await ask("POST", "/brands/nike/runs", json={"source": f"manifest:{place}"})
            assert "secret-column" not in (await ended(api, reply.json["run"]))["reason"]
            # The source of the settings is read, wherever it is.
            reply = await ask("POST", "/brands/adidas/runs")
            reason = (await ended(api, reply.json["run"]))["reason"]
            assert "No column holds URLs" in reason
            assert "secret-column" not in reason
    finally:
        await runner.cleanup()
