"""Cursors: where a listing continues, in a form that only this installation can write.

A cursor carries its position. A snapshot's cursor also carries the snapshot's run, so that all
pages of one listing come from one snapshot. Its MAC covers the listing and the filters: a cursor
of another listing, another brand or other filters is refused, and so is a modified one.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from pydantic import BaseModel

from triptych.api.http.request_models import PageAsked
from triptych.errors import InvalidCursor
from triptych.model import Age

SEAL_BYTES = 16
NO_FILTERS = {"cursor", "limit", "fresh"}
"""Fields of a query that may be others on the next page."""


class Cursors:
    """Writes and reads cursors. All API servers of a database share the same ``secret``."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, listing: str, asked: BaseModel, position: list[Any] | None) -> str | None:
        """Return the cursor for a position; None for None."""
        if position is None:
            return None
        body = orjson.dumps(position)
        return urlsafe_b64encode(self._seal(listing, asked, body) + body).rstrip(b"=").decode()

    def read(self, listing: str, asked: PageAsked) -> list[Any] | None:
        """Return the position that ``asked.cursor`` carries; None without a cursor.

        Raises:
            InvalidCursor: the cursor does not belong to this listing with these filters.
        """
        if asked.cursor is None:
            return None
        try:
            raw = urlsafe_b64decode(asked.cursor + "=" * (-len(asked.cursor) % 4))
        except (Base64Error, ValueError):
            raw = b""
        seal, body = raw[:SEAL_BYTES], raw[SEAL_BYTES:]
        if not hmac.compare_digest(seal, self._seal(listing, asked, body)):
            raise InvalidCursor(
                field="cursor",
                remedy="Use `next` of the previous page, with the same path and filters.",
            )
        position: list[Any] = orjson.loads(body)
        return position

    def _seal(self, listing: str, asked: BaseModel, body: bytes) -> bytes:
        filters = orjson.dumps(
            [listing, asked.model_dump(mode="json", exclude=NO_FILTERS)],
            option=orjson.OPT_SORT_KEYS,
        )
        text = len(filters).to_bytes(4, "big") + filters + body
        return hmac.digest(self._secret, text, hashlib.sha256)[:SEAL_BYTES]


def from_age(age: Age | None) -> list[Any] | None:
    """Return the cursor position of an age in a listing ordered by age."""
    return None if age is None else [age.at.isoformat(), str(age.id)]


def to_age(position: list[Any] | None) -> Age | None:
    """Return the age of a cursor position in a listing ordered by age."""
    if position is None:
        return None
    return Age(datetime.fromisoformat(position[0]), UUID(position[1]))
