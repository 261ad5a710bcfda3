"""The source ``shopify`` against a shop that pages, closes, throttles and pretends."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from tests.support.site_server import Answer, Site, fails, leads_to, says, site
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.phase import new_item
from triptych.gather.source import Row
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.sources import shopify
from triptych.gather.sources.shopify import SHOPIFY
from triptych.testing.collect import collect, opened

pytestmark = pytest.mark.integration

CDN = "https://cdn.shopify.com/s/files/1/0001/products"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("triptych.gather.http_reader.BACKOFF_BASE_S", 0.001)


@pytest.fixture
async def shop() -> AsyncIterator[Site]:
    async with site() as served:
        yield served


def path(page: int) -> str:
    return f"/products.json?limit=250&page={page}"


def product(n: int, images: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": n,
        "title": f"Product {n}",
        "handle": f"product-{n}",
        "images": [{"id": 10 * n + i, "src": f"{CDN}/{n}-{i}.jpg?v=17"} for i in range(images)],
        "variants": [{"id": 100 + n, "title": "Default Title", "price": "10.00"}],
        **more,
    }


def products(*listed: Any) -> Answer:
    return says(json.dumps({"products": listed}), "application/json; charset=utf-8")


async def rows(place: str, page_rows: int = 100) -> Sequence[Row]:
    async with opened(SHOPIFY, place, page_rows=page_rows) as source:
        return (await collect(source)).rows


async def test_each_picture_has_the_product_and_its_variants(shop: Site) -> None:
    shoe = {
        "id": 7,
        "title": "Runner",
        "handle": "runner",
        "body_html": "<p>Not kept</p>",
        "vendor": "Acme",
        "product_type": "Shoes",
        "tags": ["red", "sale"],
        "published_at": "2026-01-02T03:04:05-05:00",
        "images": [
            {"id": 1, "src": f"{CDN}/a.jpg?v=1", "alt": "Side", "position": 1, "variant_ids": [21]},
            {"id": 2, "src": f"{CDN}/b.jpg?v=1", "alt": None, "position": 2, "variant_ids": []},
        ],
        "variants": [
            {"id": 21, "title": "Red / 41", "price": "89.00", "sku": "R41"},
            {"id": 22, "title": "Blue / 41", "price": "109.50", "sku": "B41"},
        ],
    }
    shop.has(path(1), products(shoe))
    shop.has(path(2), products())
    about = {
        "title": "Runner",
        "handle": "runner",
        "vendor": "Acme",
        "product_type": "Shoes",
        "tags": ["red", "sale"],
        "product_id": 7,
        "published_at": "2026-01-02T03:04:05-05:00",
        "page": shop.url("/products/runner"),
    }
    first, second = await rows(shop.base)
    assert first.url == f"{CDN}/a.jpg?v=1"
    assert first.metadata == {
        **about,
        "alt": "Side",
        "position": 1,
        "variant": ["Red / 41"],
        "sku": ["R41"],
        "price": "89.00",
    }
    assert second.metadata == {
        **about,
        "position": 2,
        "sku": ["R41", "B41"],
        "price": "89.00",
        "price_max": "109.50",
    }


@pytest.mark.parametrize("page_rows", [1, 2, 100])
async def test_pages_are_read_to_the_empty_one_and_from_every_cursor(
    shop: Site, page_rows: int
) -> None:
    shop.has(path(1), products(product(1, 3), product(2)))
    shop.has(path(2), products(product(3, 2)))
    shop.has(path(3), products())
    found = await rows(shop.base, page_rows)
    names = ["1-0", "1-1", "1-2", "2-0", "3-0", "3-1"]
    assert [row.url for row in found] == [f"{CDN}/{name}.jpg?v=17" for name in names]


async def test_a_picture_with_another_version_is_the_same_asset(shop: Site) -> None:
    again = product(1)
    again["images"][0]["src"] = f"{CDN}/1-0.jpg?v=99"
    shop.has(path(1), products(product(1)))
    shop.has(path(2), products(again))
    shop.has(path(3), products())
    first, second = map(new_item, await rows(shop.base))
    assert first.key == second.key
    assert first.url != second.url


async def test_a_product_without_a_picture_or_of_another_shape_is_counted(shop: Site) -> None:
    shop.has(path(1), products(product(1, 0), {"id": 2, "images": [{"src": 7}]}, "?", product(3)))
    shop.has(path(2), products())
    found = await rows(shop.base)
    assert found[0].refused == "The product has no picture."
    assert "images[0].src" in found[1].problem
    assert found[2].problem.startswith("The product cannot be read")
    assert found[3].url == f"{CDN}/3-0.jpg?v=17"


async def test_a_product_with_many_pictures_and_much_to_say_has_them_all(shop: Site) -> None:
    shop.has(path(1), products(product(1, 250, tags=["x" * 200] * 100)))
    shop.has(path(2), products())
    async with opened(SHOPIFY, shop.base) as source:
        found = [row async for page in source.pages("b", None) for row in page.rows]
    assert [row.url for row in found] == [f"{CDN}/1-{n}.jpg?v=17" for n in range(250)]
    assert not [row for row in found if row.problem or row.refused]


async def test_g8_a_product_with_too_many_pictures_is_shown(shop: Site) -> None:
    shop.has(path(1), products(product(1, 1001), product(2)))
    shop.has(path(2), products())
    first, second = await rows(shop.base)
    assert first.problem == "It has 1001 pictures; 1000 are read."
    assert second.url == f"{CDN}/2-0.jpg?v=17"


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (leads_to("/password"), "asks its visitors for a password.*Open the shop"),
        (fails(401), r"asks for a login \(HTTP 401\).*CSV"),
        (fails(402), "frozen"),
        (fails(403), "refuses the products feed"),
        (fails(404), "no products feed at this address.*Shopify"),
        (says("<html>Enter password</html>"), "a web page in place of its products"),
        (says("<html>", "application/json"), "with a web page"),
        (says("[]", "application/json"), "no list of products"),
        (says('{"products": {}}', "application/json"), "no list of products"),
        (says('{"products": [', "application/json"), "no JSON"),
        (leads_to("http://10.0.0.1/products.json"), "address that is refused"),
    ],
    ids=[
        *("password", "401", "402", "403", "404", "html", "html as json", "array", "object"),
        *("cut", "private"),
    ],
)
async def test_a_shop_that_does_not_answer_its_products_is_refused_with_the_remedy(
    shop: Site, answer: Answer, why: str
) -> None:
    shop.has(path(1), answer)
    with pytest.raises(SourceRefused, match=why):
        await rows(shop.base)


async def test_a_shop_that_moved_to_its_own_name_is_followed(shop: Site) -> None:
    async with site() as own:
        shop.has(path(1), leads_to(own.url(path(1)), 301))
        shop.has(path(2), leads_to(own.url(path(2)), 301))
        own.has(path(1), products(product(1)))
        own.has(path(2), products())
        assert len(await rows(shop.base)) == 1


async def test_throttling_is_waited_for_or_left_to_the_queue(shop: Site) -> None:
    shop.has(path(1), fails(429, Retry_After="0"), products(product(1)))
    shop.has(path(2), fails(429, Retry_After="900"))
    async with opened(SHOPIFY, shop.base) as source:
        pages = source.pages("b", None)
        first = await anext(pages)
        with pytest.raises(SourceUnavailable) as away:
            await anext(pages)
        assert away.value.retry_after_s == 900
        shop.has(path(2), products(product(2)))
        shop.has(path(3), products())
        rest = [row async for page in source.pages("b", first.cursor) for row in page.rows]
    assert [row.metadata["product_id"] for row in rest] == [2]
    assert shop.asked.count(path(1)) == 2


async def test_g3_a_shop_that_answers_the_same_for_ever_is_refused(shop: Site) -> None:
    for n in range(1, 5):
        shop.has(path(n), products(product(1)))
    with pytest.raises(SourceRefused, match="page 2 with the products of the page before"):
        await rows(shop.base)


async def test_g3_a_shop_without_end_is_read_to_its_limit(
    shop: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shopify, "PAGES_MAX", 2)
    for n in range(1, 5):
        shop.has(path(n), products(product(n)))
    found = await rows(shop.base)
    assert [row.metadata.get("product_id") for row in found] == [1, 2, None]
    assert found[-1].refused == "Of a shop, 2 pages are read: there may be more products."


async def test_what_shopify_no_longer_serves_is_counted(shop: Site) -> None:
    shop.has(path(1), products(product(1)))
    shop.has(path(2), fails(400))
    found = await rows(shop.base)
    assert found[-1].refused.startswith("Shopify answers no further products (HTTP 400)")


async def test_g9_the_token_does_not_follow_the_shop_to_another_host(shop: Site) -> None:
    async with site() as own:
        shop.has(path(1), leads_to(own.url(path(1))))
        own.has(path(1), products())
        async with opened(SHOPIFY, shop.base, token="s3cret") as source:
            _ = [page async for page in source.pages("b", None)]
    assert [request.headers.get("Authorization") for request in own.requests] == [None]


@pytest.mark.parametrize("place", ["shop.example.com", "https://shop.example.com/"])
def test_a_shop_is_named_by_its_host(place: str) -> None:
    named = SourceRegistry([SHOPIFY]).check(f"shopify:{place}")
    assert named.place.text.rstrip("/") == "https://shop.example.com"
    assert named.anybody


@pytest.mark.parametrize("place", ["shop.example.com/collections/x", "ftp://x", "u:p@shop.example"])
def test_what_is_no_shop_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"host alone|not the URL|has a user"):
        SHOPIFY.check(place)
