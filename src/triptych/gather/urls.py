"""URLs as identities: one normal form, and the item key derived from it."""

from __future__ import annotations

import hashlib

from yarl import URL

from triptych.errors import InvalidUrl
from triptych.messages import URL_MAX_CHARS
from triptych.model import KEY_BYTES

_FORBIDDEN = frozenset(' "<>\\^`{|}#%/?@')
"""Characters that no host contains (URL Standard, forbidden host code points)."""


def normalise(url: str) -> str:
    """Return the normal form of ``url``: equal URLs have the same one.

    Scheme and host in lower case, IDN as A-labels, default port and fragment dropped, an empty
    path as ``/``, percent-encoding in upper case (RFC 3986 §6.2.2 and §6.2.3). The query is kept
    unchanged: its order may matter to the server.

    Raises:
        InvalidUrl: not absolute, not http(s), no host, a port out of range, over-long, or with
            control characters.
    """
    text = url.strip()
    if len(text) > URL_MAX_CHARS:
        raise InvalidUrl(f"Longer than {URL_MAX_CHARS} characters.", field="url")
    if not text.isprintable():
        raise InvalidUrl("Has control characters.", field="url")
    try:
        parsed = URL(text)
        scheme, host, _ = parsed.scheme, parsed.host, parsed.port
    except ValueError as error:
        raise InvalidUrl(f"Cannot be read as a URL ({error}).", field="url") from error
    if scheme not in {"http", "https"} or not host or not _FORBIDDEN.isdisjoint(host):
        raise InvalidUrl(
            "Not an absolute http or https URL.", field="url", remedy="Write https://host/path."
        )
    if parsed.is_default_port():
        parsed = parsed.with_port(None)
    if parsed.raw_path == "/":
        parsed = parsed.with_path("/", keep_query=True)
    return str(parsed.with_fragment(None))


def item_key(normal_url: str) -> bytes:
    """Return the key of a normalised URL: the first bytes of its SHA-256."""
    return hashlib.sha256(normal_url.encode()).digest()[:KEY_BYTES]
