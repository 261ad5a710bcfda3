"""URLs of objects and files as items have them: the one parser of them, and their only text.

``s3://BUCKET/KEY``, ``gs://``, ``az://`` and ``file:///PATH``. Key and path are percent-encoded
(RFC 3986), and nothing of such a URL is a query or a fragment: ``?`` and ``#`` in one are part of
the key. Which of these may be read, `triptych.gather.object_reach` decides.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from triptych.settings.source_text import FILE_SCHEME, OBJECT_SCHEMES, SHOWN_CHARS, parse_place

KEY_MAX_BYTES = 1024
"""Of an object's key: the most that S3, Google Cloud Storage and Azure have."""

_URL = re.compile(
    rf"({'|'.join((*OBJECT_SCHEMES, FILE_SCHEME))})://(.*)", re.IGNORECASE | re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_LEADING_ELSEWHERE = frozenset({"", ".", ".."})


@dataclass(frozen=True, slots=True)
class ObjectUrl:
    """The URL of an object or a file, read."""

    scheme: str
    bucket: str
    """Empty for a file."""
    key: str
    """Of an object: its key. Of a file: its absolute path, as `os.fsdecode` gives it."""

    @property
    def is_file(self) -> bool:
        """Whether it is a file's."""
        return self.scheme == FILE_SCHEME

    @property
    def host(self) -> str:
        """What answers for it, as throttles and outages call it: ``s3:BUCKET``, or ``file``."""
        return FILE_SCHEME if self.is_file else f"{self.scheme}:{self.bucket}"

    def __str__(self) -> str:
        """The URL in its only form: what is not unreserved (RFC 3986 §2.3) is percent-encoded."""
        if self.is_file:
            return f"{FILE_SCHEME}://{quote(os.fsencode(self.key))}"
        return f"{self.scheme}://{self.bucket}/{quote(self.key)}"


def is_object_url(text: str) -> bool:
    """Return whether a text is written as the URL of an object or a file, valid or not."""
    return _URL.match(text) is not None


def parse_object_url(text: str) -> ObjectUrl:
    """Return the URL of an object or a file. Reads nothing and asks nobody.

    A ``%`` that begins no escape stands for itself. ``str`` of the result is read as the same.

    Raises:
        ValueError: it is none, or its key or path could lead elsewhere; says why.
    """
    found = _URL.fullmatch(text)
    if found is None:
        raise ValueError("it is not the URL of an object or a file")
    scheme, (place, _, rest) = found[1].lower(), found[2].partition("/")
    if scheme == FILE_SCHEME:
        return _file(place, rest)
    try:
        parse_place(f"{scheme}://{place}")
    except ValueError as error:
        raise ValueError(f"{place[:SHOWN_CHARS]!r} is not the name of a bucket") from error
    try:
        key = unquote_to_bytes(rest).decode()
    except UnicodeError as error:
        raise ValueError("its key is not UTF-8") from error
    if not key:
        raise ValueError("it names no object")
    if len(key.encode()) > KEY_MAX_BYTES:
        raise ValueError(f"its key is longer than {KEY_MAX_BYTES} bytes")
    for part in key.split("/"):
        if part in _LEADING_ELSEWHERE or _CONTROL.search(part):
            # The object stores' client cannot name them.
            raise ValueError(f"{part[:SHOWN_CHARS]!r} cannot be a part of its key")
    return ObjectUrl(scheme, place, key)


def _file(host: str, rest: str) -> ObjectUrl:
    """Return the URL of a file (RFC 8089)."""
    if host.lower() not in {"", "localhost"}:
        raise ValueError("a file:// URL is written file:///PATH, without a host")
    path = os.fsdecode(unquote_to_bytes(rest))
    parts = path.split("/")
    if "\x00" in path or not parts[-1] or {".", ".."} & set(parts):
        raise ValueError("its path names no file, or leads elsewhere")
    return ObjectUrl(FILE_SCHEME, "", "/" + "/".join(part for part in parts if part))
