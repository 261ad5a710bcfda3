"""A page of a Shopify shop's public products feed. Runs in a list parser's process.

``GET https://SHOP/products.json?limit=250&page=1`` answers ``{"products": [{"id": 1, "title": "…",
"handle": "…", "images": [{"src": "…", "variant_ids": []}], "variants": [{"id": 2, "title": "…",
"price": "49.00"}]}]}``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec

from triptych.gather.documents.picture_records import in_records
from triptych.gather.documents.relative_url import resolved
from triptych.gather.lists.bounds import VALUES_MAX
from triptych.gather.lists.catalog_page import DocumentPage, Doubted
from triptych.gather.lists.exchange import DocumentHead, ListRecord
from triptych.gather.sources.json_text import count_values, read_json, show_json

NO_PICTURE = "The product has no picture."
PICTURES_MAX = 1_000
"""Of one product; Shopify allows 250."""
SHOWN_CHARS = 500
NO_SHOP = (
    "Check that the shop is Shopify's and open: its /products.json has to answer in a browser."
)


class _Answer(msgspec.Struct, frozen=True):
    products: list[Any]


class _Image(msgspec.Struct, frozen=True):
    src: Annotated[str, msgspec.Meta(min_length=1)]
    alt: str | None = None
    position: int | None = None
    variant_ids: list[int] = []


class _Variant(msgspec.Struct, frozen=True):
    id: int | None = None
    title: str | None = None
    price: str | None = None
    sku: str | None = None


class _Product(msgspec.Struct, frozen=True):
    id: int | None = None
    title: str = ""
    handle: str = ""
    vendor: str | None = None
    product_type: str | None = None
    tags: list[str] | str = []
    published_at: str | None = None
    images: list[_Image] = []
    variants: list[_Variant] = []


def parse_shop(head: DocumentHead, body: bytes | bytearray) -> DocumentPage:
    """Parse a page of products: their pictures, each with the product's metadata and its own.

    Raises:
        Doubted: it is no JSON, or no page of products.
    """
    if (values := count_values(body)) > VALUES_MAX:
        raise Doubted(
            f"A page of the shop has some {values} values; {VALUES_MAX} are read.",
            NO_SHOP,
            at_once=True,
        )
    try:
        answer = msgspec.convert(read_json(body), _Answer)
    except msgspec.ValidationError as error:
        raise Doubted("The shop answers no list of products.", NO_SHOP, at_once=True) from error
    except ValueError as error:
        page = body.lstrip()[:1] == b"<"
        what = "with a web page (HTML)" if page else f"with what is no JSON ({error})"
        raise Doubted(f"The shop answers {what}.", NO_SHOP, at_once=page) from error
    return DocumentPage([record for each in answer.products for record in _records(each, head.url)])


def _records(given: Any, base: str) -> Iterator[ListRecord]:
    """Yield a product's pictures; one of another shape fails by itself, and not with its page."""
    try:
        product = msgspec.convert(given, _Product)
    except msgspec.ValidationError as error:
        problem = f"The product cannot be read ({error})."
        yield ListRecord(show_json(given, SHOWN_CHARS), problem=problem)
        return
    place = f"product {product.handle or product.id}"
    about = _about(product, base)
    if not product.images:
        yield ListRecord(place, metadata=[about], refused=NO_PICTURE)
    elif len(product.images) > PICTURES_MAX:
        problem = f"It has {len(product.images)} pictures; {PICTURES_MAX} are read."
        yield ListRecord(place, metadata=[about], problem=problem)
    else:
        yield from in_records(place, _pictures(product, about, base))


def _pictures(
    product: _Product, about: Mapping[str, Any], base: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    for image in product.images:
        yield resolved(image.src, base), {**about, **_of_image(image, product.variants)}


def _about(product: _Product, base: str) -> dict[str, Any]:
    tags = product.tags
    if isinstance(tags, str):
        tags = [tag.strip() for tag in tags.split(",") if tag.strip()]
    found: Mapping[str, Any] = {
        "title": product.title,
        "handle": product.handle,
        "vendor": product.vendor,
        "product_type": product.product_type,
        "tags": tags,
        "product_id": product.id,
        "published_at": product.published_at,
        "page": resolved(f"/products/{product.handle}", base) if product.handle else None,
    }
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _of_image(image: _Image, variants: list[_Variant]) -> dict[str, Any]:
    """Return what is said of one picture: its variants are those that show it, or all."""
    own = [one for one in variants if one.id is not None and one.id in image.variant_ids]
    prices = {one.price for one in own or variants if one.price}
    found: Mapping[str, Any] = {
        "alt": image.alt,
        "position": image.position,
        "variant": [one.title for one in own if one.title],
        "sku": [one.sku for one in own or variants if one.sku],
        **_price(prices),
    }
    return {name: value for name, value in found.items() if value not in (None, "", [])}


def _price(prices: set[str]) -> dict[str, str]:
    """Return the lowest price as the shop writes it, and the highest if there are several."""
    try:
        ordered = sorted(prices, key=lambda price: (float(price), price))
    except ValueError:
        ordered = sorted(prices)  # Not written as numbers: they are texts.
    if not ordered:
        return {}
    return {"price": ordered[0]} | ({"price_max": ordered[-1]} if len(ordered) > 1 else {})
