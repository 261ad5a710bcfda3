"""URLs that a request gave itself, instead of naming a list: kept with their brand, as a source."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from triptych.model import Metadata

URLS_MAX = 1_000
"""URLs of one request."""
SCHEME = "urls"
"""What their source starts with, before the colon: then follows a digest of them."""
DIGEST_BYTES = 16
UNUSED_S = 24 * 3600.0
"""Seconds for which a list stays that no brand has as its source, and no run has still to read."""


@dataclass(frozen=True, slots=True)
class GivenUrl:
    """One of them, unchecked."""

    url: str
    metadata: Metadata = field(default_factory=dict)


def encode_urls(urls: Sequence[GivenUrl]) -> bytes:
    """Return URLs as they are kept: JSON, the same for the same URLs in the same order.

    What orjson and Postgres refuse is kept too, such as numbers beyond a double: its row is judged
    when it is gathered, as a list's is.

    Raises:
        RecursionError: metadata are nested too deep.
    """
    rows = [[one.url, dict(one.metadata)] for one in urls]
    return json.dumps(rows, sort_keys=True, separators=(",", ":")).encode("ascii")


def decode_urls(kept: bytes) -> Sequence[GivenUrl]:
    """Return the URLs that `encode_urls` encoded."""
    return [GivenUrl(url, metadata) for url, metadata in json.loads(kept)]


def source_of(kept: bytes) -> str:
    """Return the source that encoded URLs are, ``urls:DIGEST``: the same URLs are one source."""
    return f"{SCHEME}:{hashlib.sha256(kept).digest()[:DIGEST_BYTES].hex()}"


def is_given(source: str) -> bool:
    """Return whether a source is URLs that a request gave."""
    return source.startswith(f"{SCHEME}:")
