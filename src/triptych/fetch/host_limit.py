"""What an operator has set for one host: a pause, fewer requests at a time, a slower pace."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from triptych.errors import BadInput
from triptych.fetch.web_url import parse_web_url
from triptych.wire import Wire

HOST_MAX_CHARS = 253
"""The longest host name (RFC 1035 §2.3.4, without its last dot)."""
HOST_CONCURRENCY_MAX = 1_000
"""Requests to one host at a time, of one worker."""
PER_SECOND_MIN = 0.02
"""The slowest pace, a request in 50 seconds: what is to be slower still, is better paused."""
PER_SECOND_MAX = 1_000.0
STORE_NAME = re.compile(r"file|(s3|gs|az):[A-Za-z0-9][A-Za-z0-9._-]{0,249}")
"""What answers for files and for the objects of a bucket, as `ObjectUrl.host` names it."""


class HostLimit(Wire, frozen=True):
    """A host's own limits, which every worker keeps instead of those of the settings."""

    host: Annotated[
        str, Meta(description="Its name as URLs have it, in lower case; `s3:BUCKET` for a bucket.")
    ]
    paused: Annotated[bool, Meta(description="It is sent no request; its items wait.")]
    concurrency: Annotated[
        int | None,
        Meta(description="Requests at a time from each worker; null: as in the settings."),
    ]
    per_second: Annotated[
        float | None,
        Meta(description="Requests a second from each worker; null: as in the settings."),
    ]
    changed_at: datetime
    changed_by: str
    paused_at: Annotated[datetime | None, Meta(description="Since when; null if it is not.")]
    paused_by: str | None


class HostTraffic(Wire, frozen=True):
    """What goes on between one worker and one host, at one moment."""

    host: str
    requests: Annotated[int, Meta(description="Under way.")]
    waiting: Annotated[int, Meta(description="Items that wait for their turn at the host.")]


def host_name(text: str) -> str:
    """Return a host's name as URLs have it: in lower case, with A-labels for other scripts.

    A bucket is named ``s3:BUCKET``, ``gs:`` or ``az:``, and files are ``file``: they have limits,
    too.

    Raises:
        BadInput: it is not one host's name.
    """
    if STORE_NAME.fullmatch(text):
        return text
    if text.count(":") == 1:
        raise _no_host(text, "it has more than a host")
    try:
        url = parse_web_url(f"http://[{text}]/" if text.count(":") > 1 else f"http://{text}/")
    except ValueError as error:
        raise _no_host(text, str(error)) from error
    bare = url.raw_host is not None and url.path == "/" and not url.query_string
    if not bare or url.user is not None:
        raise _no_host(text, "it has more than a host")
    name = url.raw_host or ""
    if len(name) > HOST_MAX_CHARS:
        raise _no_host(name[:HOST_MAX_CHARS], f"it has more than {HOST_MAX_CHARS} characters")
    return name


def _no_host(text: str, why: str) -> BadInput:
    return BadInput(
        f"Not a host's name ({why}): {text[:HOST_MAX_CHARS]!r}.",
        field="host",
        remedy="Give a name as in URLs, such as images.example.com, without scheme, port and path; "
        "or a bucket, such as s3:pictures.",
    )
