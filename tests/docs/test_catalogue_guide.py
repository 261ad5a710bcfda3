"""The guide's catalogue service, against stand-ins of the four systems, read as a run reads it."""

from __future__ import annotations

import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.support.site_server import Answer, fails, serving, site
from triptych.errors import SourceRefused
from triptych.gather.sources.catalog import CATALOG
from triptych.testing.collect import collect, opened

pytestmark = pytest.mark.integration

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "catalogue-apis.md"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.gather.http_reader.BACKOFF_BASE_S", 0.001)


@pytest.fixture
def service(tmp_path: Path) -> Callable[[str], web.Application]:
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "catalogue_service.py").write_text(code, encoding="utf-8")
    made: Callable[[str], web.Application] = runpy.run_path(str(tmp_path / "catalogue_service.py"))[
        "service"
    ]
    return made


def bynder(number: int) -> dict[str, Any]:
    urls = {"original": f"https://c.example/{number}.jpg"} if number % 2 else {}
    thumbnails = {"webimage": f"https://c.example/{number}.jpg"}
    return {"id": f"b{number}", "name": "N", "tags": ["x"], "thumbnails": thumbnails, **urls}


def answers(request: web.Request) -> web.StreamResponse:
    """Answer as each system does, 750 pictures of it."""
    query, total = request.query, 750
    if request.path == "/api/v4/media/":
        size, page = int(query["limit"]), int(query["page"])
        return web.json_response([bynder(n) for n in range(total)][size * (page - 1) : size * page])
    if request.path == "/resources/image/upload":
        start = int(query.get("next_cursor", "c0")[1:])
        end = start + int(query["max_results"])
        found = [
            {
                "public_id": f"p{n}",
                "secure_url": f"https://c.example/{n}.jpg",
                "context": {"custom": {"alt": "A"}},
            }
            for n in range(start, min(end, total))
        ]
        more = {"next_cursor": f"c{end}"} if end < total else {}
        return web.json_response({"resources": found, **more})
    if request.path == "/assets":
        start = int(query["skip"])
        found = [
            {
                "sys": {"id": f"a{n}"},
                "fields": {"title": "T", "file": {"url": f"//c.example/{n}.jpg"}},
            }
            for n in range(start, min(start + int(query["limit"]), total))
        ]
        return web.json_response({"total": total, "items": found})
    size, page = int(query["per_page"]), int(query["page"])
    products = [
        {
            "name": "P",
            "price": "9.00",
            "categories": [{"name": "Shoes"}],
            "images": [{"src": f"https://c.example/{n}.jpg", "alt": ""}],
        }
        for n in range(total)
    ]
    return web.json_response(products[size * (page - 1) : size * page])


@pytest.mark.parametrize("system", ["bynder", "cloudinary", "contentful", "woocommerce"])
async def test_all_pictures_are_listed_once_with_their_metadata(
    system: str, service: Callable[[str], web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site() as there:
        there.otherwise = answers
        for name, value in (
            ("BASE", there.base),
            ("AUTHORIZATION", "Bearer theirs"),
            ("TOKEN", "ours"),
        ):
            monkeypatch.setenv(name, value)
        async with serving(service(system)) as running:
            place = f"{running}/media"
            async with opened(CATALOG, place, token="ours") as source:
                found = await collect(source)
            with pytest.raises(SourceRefused, match="HTTP 401"):
                async with opened(CATALOG, place, token="guessed") as source:
                    await collect(source)
        keys = {request.headers["Authorization"] for request in there.requests}
    assert [url.removeprefix("https:") for url in found.urls] == [
        f"//c.example/{n}.jpg" for n in range(750)
    ]
    assert all(row.metadata for row in found.rows)
    assert keys == {"Bearer theirs"}


@pytest.mark.parametrize("answer", [fails(429), fails(500), fails(401)], ids=["429", "500", "401"])
async def test_a_systems_failure_is_tried_again_and_ends_no_list(
    answer: Answer, service: Callable[[str], web.Application], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with site() as there:
        monkeypatch.setenv("BASE", there.base)
        monkeypatch.setenv("AUTHORIZATION", "Basic theirs")
        monkeypatch.setenv("TOKEN", "ours")
        first = "/wp-json/wc/v3/products?per_page=100&page=1&orderby=id&order=asc"
        there.otherwise = answers
        there.has(first, lambda request: _at_once(answer(request)), answers)
        async with (
            serving(service("woocommerce")) as running,
            opened(CATALOG, f"{running}/media", token="ours") as source,
        ):
            rows = [row async for page in source.pages("b", None) for row in page.rows]
    assert len(rows) == 750


def _at_once(response: web.StreamResponse) -> web.StreamResponse:
    response.headers["Retry-After"] = "0"
    return response
