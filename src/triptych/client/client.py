"""The API from Python: methods return wire types and raise the errors that the server reports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from yarl import URL

from triptych.client.asset_verbs import AssetVerbs
from triptych.client.brand_verbs import BrandVerbs
from triptych.client.connection import IDLE
from triptych.client.item_verbs import ItemVerbs
from triptych.client.limit_verbs import LimitVerbs
from triptych.client.run_verbs import RunVerbs
from triptych.client.snapshot_verbs import SnapshotVerbs
from triptych.client.source_verbs import SourceVerbs
from triptych.client.system_verbs import SystemVerbs
from triptych.client.upload_verbs import UploadVerbs
from triptych.errors import SettingsError
from triptych.fetch.web_url import parse_web_url


class Client(
    BrandVerbs,
    AssetVerbs,
    SnapshotVerbs,
    RunVerbs,
    ItemVerbs,
    SourceVerbs,
    UploadVerbs,
    LimitVerbs,
    SystemVerbs,
):
    """One server. Every method raises the error that the server reports, or `ServerUnavailable`.

    Methods raise `InvalidBrand` for a name that cannot be a brand's.
    """


@asynccontextmanager
async def open_client(server: str, key: str | None = None) -> AsyncIterator[Client]:
    """Open a client of the server at ``https://host[:port]``; ``key`` is an API key.

    Raises:
        SettingsError: the address is not valid.
    """
    base = server_url(server)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=IDLE) as session:
        yield Client(session, base, headers)


@asynccontextmanager
async def open_socket_client(socket: Path) -> AsyncIterator[Client]:
    """Open a client of a server on this machine that listens on a Unix socket."""
    async with aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(str(socket)),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=IDLE,
    ) as session:
        yield Client(session, URL("http://localhost/"), {}, socket)


def server_url(text: str) -> URL:
    """Return a server's address.

    Raises:
        SettingsError: the address is not valid.
    """
    wrong = SettingsError(
        "This is not the address of a server.",
        field="--server",
        remedy="Use https://host or http://127.0.0.1:8321, without a path.",
    )
    try:
        url = parse_web_url(text)
    except ValueError:
        raise wrong from None
    if url.raw_path != "/" or url.raw_query_string or url.raw_user or "#" in text:
        raise wrong
    return url
