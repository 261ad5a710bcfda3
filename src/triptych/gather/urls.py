"""URLs of rows: the text that is sent, and the item key derived from its normal form."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection
from urllib.parse import unquote

from triptych.errors import InvalidUrl
from triptych.fetch.web_url import serialise
from triptych.gather.object_url import is_object_url, parse_object_url
from triptych.messages import URL_MAX_CHARS
from triptych.model import KEY_BYTES

_ESCAPE = re.compile("%[0-9A-Fa-f]{2}")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
"""RFC 3986 §2.3."""
_NEXT_URL = re.compile(r"[\t\r\n]\s*(?:https?:)?//", re.IGNORECASE)
"""A line break or tab, which browsers remove, before what looks like another URL."""


def normalise(url: str) -> str:
    """Return ``url`` as it is kept, shown and sent: as browsers serialise it, without a fragment.

    What is percent-encoded stays as it is, down to the case of its digits, because services sign
    the text of a request; see `triptych.fetch.web_url.serialise`. ``//host/path`` is taken as
    ``https:``. The URL of an object or a file gets its only form: see
    `triptych.gather.object_url`. The result is returned unchanged when it is normalised again.

    Raises:
        InvalidUrl: browsers refuse it, it is neither http(s) nor an object's, over-long, or several
            URLs.
    """
    text = url.strip()
    if len(text) > URL_MAX_CHARS:
        raise InvalidUrl(f"Longer than {URL_MAX_CHARS} characters.", field="url")
    if not text.isprintable() and _NEXT_URL.search(text):
        raise InvalidUrl(
            "Holds several URLs.", field="url", remedy="Write each of them into a row of its own."
        )
    if text.startswith("//") and text[2:3] not in {"", "/", "\\"}:
        text = f"https:{text}"
    try:
        sent = str(parse_object_url(text)) if is_object_url(text) else serialise(text)
    except ValueError as error:
        why = str(error)
        remedy = "Write https://host/path."
        raise InvalidUrl(f"{why[0].upper()}{why[1:]}.", field="url", remedy=remedy) from error
    if len(sent) > URL_MAX_CHARS:
        raise InvalidUrl(
            f"Longer than {URL_MAX_CHARS} characters when it is percent-encoded.", field="url"
        )
    return sent


def identity(url: str) -> str:
    """Return the normal form of a URL that `normalise` has returned: never sent, only compared.

    Percent-encoding is in upper case, and unreserved characters are not encoded (RFC 3986
    §6.2.2.1 and §6.2.2.2). Reserved ones stay as they are: encoded and plain they may be two
    resources. So does the query's order.
    """
    return _ESCAPE.sub(_normal_escape, url) if "%" in url else url


def item_key(url: str) -> bytes:
    """Return the key of a URL that `normalise` has returned: of the SHA-256 of its `identity`."""
    return hashlib.sha256(identity(url).encode()).digest()[:KEY_BYTES]


def key_of_value(value: str) -> bytes:
    """Return the key of an item that is known by a value of its row, such as a SKU."""
    return hashlib.sha256(f"value {value}".encode()).digest()[:KEY_BYTES]


def without_parameters(url: str, ignored: Collection[str]) -> str:
    """Return a URL without the parameters of its query that have one of these names."""
    path, mark, query = url.partition("?")
    kept = [
        part
        for part in query.split("&")
        if unquote(part.partition("=")[0].replace("+", " ")) not in ignored
    ]
    return f"{path}?{'&'.join(kept)}" if mark and kept else path


def same_resource(first: str, second: str) -> bool:
    """Return whether two URLs differ in their query at most, as signed URLs of one file do."""
    return first == second or first.partition("?")[0] == second.partition("?")[0]


def _normal_escape(escape: re.Match[str]) -> str:
    character = chr(int(escape[0][1:], 16))
    return character if character in _UNRESERVED else escape[0].upper()
