"""How the dashboard's files are served: to whom, under which policy, cached how."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path

import pytest
import pytest_asyncio

from tests.support.api_server import HOST, Api, create_keys, serving
from triptych.api import dashboard

SCRIPT = "console.log(1)" * 100


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The dashboard's files, which the servers of these tests serve."""
    beside = tmp_path_factory.mktemp("built")
    folder = beside / "dashboard"
    (folder / "static").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Triptych</title>", "utf-8")
    (folder / "static" / "index-1a2b.js").write_text(SCRIPT, "utf-8")
    (folder / "icon.svg").write_text("<svg/>", "utf-8")
    (folder / "notes.py").write_text("secret = 1", "utf-8")
    (beside / "outside.txt").write_text("secret", "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dashboard.Dashboard.__init__, "__defaults__", (folder,))
        yield folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(
    built: Path, shared_dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Api]:
    """A server that all tests may ask: none changes anything."""
    async with serving(shared_dsn, tmp_path_factory.mktemp("data")) as opened:
        yield opened


async def fetch(api: Api, path: str, **headers: str) -> tuple[int, Mapping[str, str]]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    async with api.session.get(f"{api.url}{path}", headers=sent) as response:
        await response.read()
        return response.status, response.headers


DEEP = [
    "/",
    "/brands/nike",
    "/brands/a.js",
    "/brands/a%20b/map",
    "/runs",
    "/runs/x",
    "/search?q=a",
    "/system",
    "/api/docs",
]


@pytest.mark.parametrize("path", DEEP)
async def test_deep_links_lead_to_the_page_under_its_policy(api: Api, path: str) -> None:
    status, headers = await fetch(api, path)
    assert status == 200
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Cache-Control"] == "no-cache"
    assert headers["Content-Security-Policy"] == dashboard.POLICY
    assert "unsafe" not in dashboard.POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    again, _ = await fetch(api, path, If_None_Match=headers["ETag"])
    assert again == 304


async def test_what_has_a_hash_in_its_name_is_kept_for_ever(api: Api) -> None:
    status, headers = await fetch(api, "/static/index-1a2b.js", Accept_Encoding="gzip")
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert int(headers["Content-Length"]) < len(SCRIPT)
    _, plain = await fetch(api, "/static/index-1a2b.js", Accept_Encoding="identity")
    assert int(plain["Content-Length"]) == len(SCRIPT)
    async with api.session.head(f"{api.url}/static/index-1a2b.js") as response:
        assert (response.status, await response.read()) == (200, b"")
    assert (await fetch(api, "/icon.svg"))[1]["Cache-Control"] == "no-cache"


@pytest.mark.parametrize(
    "path",
    [
        "/static/gone.js",
        "/notes.py",
        "/../outside.txt",
        "/%2e%2e/outside.txt",
        "/api/nothing",
        "/api/docs/more",
        "/docs",
        "/redoc",
        "/x",
    ],
)
async def test_nothing_else_is_there(api: Api, path: str) -> None:
    status, headers = await fetch(api, path)
    assert (status, headers["Content-Type"]) == (404, "application/problem+json")


async def test_a_person_at_a_wrong_address_gets_the_page(api: Api) -> None:
    status, headers = await fetch(api, "/nowhere/at/all", Accept="text/html")
    assert (status, headers["Content-Type"]) == (404, "text/html; charset=utf-8")


async def test_it_is_only_read(api: Api) -> None:
    async with api.session.post(f"{api.url}/brands/nike") as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")


async def test_it_needs_no_key_but_the_right_host(
    built: Path, migrated_dsn: str, tmp_path: Path
) -> None:
    async with serving(migrated_dsn, tmp_path / "data") as opened:
        await create_keys(opened)
    async with serving(migrated_dsn, tmp_path / "data", allowed_hosts=(HOST,)) as api:
        assert (await fetch(api, "/"))[0] == 200
        assert (await fetch(api, "/api/docs"))[0] == 200
        assert (await fetch(api, "/api/v1/openapi.json"))[0] == 401
        assert (await fetch(api, "/api/v1/brands"))[0] == 401
        assert (await fetch(api, "/", Host="evil.example"))[0] == 421
        assert (await fetch(api, "/api/docs", Host="evil.example"))[0] == 421
        assert (await fetch(api, "/static/index-1a2b.js", Origin="https://evil.example"))[0] == 403


async def test_a_server_without_it_says_so(
    migrated_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dashboard" / "static").mkdir(parents=True)
    monkeypatch.setattr(dashboard.Dashboard.__init__, "__defaults__", (tmp_path / "dashboard",))
    async with serving(migrated_dsn, tmp_path / "data") as api:
        async with api.session.get(f"{api.url}/") as response:
            problem = await response.json(content_type=None)
        assert (response.status, problem["reason"]) == (404, "dashboard-not-built")
        assert "make setup" in problem["remedy"]
