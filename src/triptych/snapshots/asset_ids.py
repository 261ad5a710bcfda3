"""The ids of assets, as the API and the command line write them."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from triptych.errors import AssetNotFound, InvalidBrand
from triptych.messages import check_brand
from triptych.model import KEY_BYTES

ASSET_ID_MAX_CHARS = 1024


def asset_id(brand: str, key: bytes) -> str:
    """Return an asset's id: brand and URL, not snapshot, so it outlives re-runs.

    Base64url of the item key and the brand's name: the asset is found by primary key, without an
    index or table for ids, and the id needs no escaping in a path.
    """
    return urlsafe_b64encode(key + brand.encode()).rstrip(b"=").decode()


def read_asset_id(text: str) -> tuple[str, bytes]:
    """Return the brand and key of an asset's id.

    Raises:
        AssetNotFound: no asset can have that id.
    """
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        brand, key = check_brand(raw[KEY_BYTES:].decode()), raw[:KEY_BYTES]
    except (ValueError, InvalidBrand):
        brand, key = "", b""
    # One spelling per id: base64 would also accept others.
    if len(text) > ASSET_ID_MAX_CHARS or not brand or asset_id(brand, key) != text:
        raise AssetNotFound("No asset has this id.", remedy="Copy it from a list of assets.")
    return brand, key
