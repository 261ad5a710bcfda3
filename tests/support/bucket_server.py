"""A bucket on loopback, as S3, Google Cloud Storage (its XML API) and Azure list and give it.

With pages and markers, keys in the order of their bytes, ETags, conditional reads, and errors.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import unquote
from xml.sax.saxutils import escape

import pytest
from aiohttp import web

SCHEMES = ("s3", "gs", "az")
WRITTEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
SECRET = "Zm9yYXRlc3Q="
"""Base64, as Azure's keys are."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class BucketServer:
    """One bucket, ``pictures``; what it has is the test's to change."""

    objects: dict[str, bytes] = field(default_factory=dict)
    page: int = 1000
    """Keys of one answer."""
    answers: dict[str, Answer] = field(default_factory=dict)
    """What is answered instead, by key; ``LIST`` for a listing."""
    reads: list[str] = field(default_factory=list)
    """Keys whose bytes were sent."""
    unchanged: list[str] = field(default_factory=list)
    listings: list[str] = field(default_factory=list)
    """The queries of listings."""
    base: str = ""

    def url(self, scheme: str, path: str = "") -> str:
        return f"{scheme}://pictures/{path}"

    async def answer(self, request: web.Request) -> web.StreamResponse:
        # Azure's address has the account first.
        path = unquote(request.raw_path.partition("?")[0]).removeprefix("/account")
        key = path.removeprefix("/pictures").removeprefix("/")
        listing = not key
        if (instead := self.answers.get("LIST" if listing else key)) is not None:
            return await instead(request)
        return self._listed(request) if listing else self._read(request, key)

    def _read(self, request: web.Request, key: str) -> web.Response:
        if key not in self.objects:
            return web.Response(status=404, text="<Error><Code>NoSuchKey</Code></Error>")
        body = self.objects[key]
        headers = {"ETag": etag(body), "Last-Modified": format_datetime(WRITTEN, usegmt=True)}
        if request.headers.get("If-None-Match") == headers["ETag"]:
            self.unchanged.append(key)
            return web.Response(status=304, headers=headers)
        self.reads.append(key)
        return web.Response(body=body, headers=headers, content_type="image/png")

    def _listed(self, request: web.Request) -> web.Response:
        query = request.query
        self.listings.append(request.query_string)
        start = query.get("continuation-token") or query.get("marker") or ""
        after, begin = query.get("start-after", ""), query.get("startFrom", "")
        keys = sorted(
            key
            for key in self.objects
            if key.startswith(query.get("prefix", ""))
            and key > (after if not start else "")
            and key >= max(start, begin if not start else "")
        )
        shown, following = keys[: self.page], keys[self.page : self.page + 1]
        text = (_azure if "comp" in query else _s3)(self.objects, shown, following)
        return web.Response(text=text, content_type="application/xml")


def etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _s3(objects: dict[str, bytes], keys: list[str], following: list[str]) -> str:
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>{WRITTEN:%Y-%m-%dT%H:%M:%S.000Z}"
        f"</LastModified><ETag>{escape(etag(objects[key]))}</ETag><Size>{len(objects[key])}</Size>"
        "</Contents>"
        for key in keys
    )
    more = (
        f"<NextContinuationToken>{escape(following[0])}</NextContinuationToken>"
        if following
        else ""
    )
    cut = "true" if following else "false"
    return f"<ListBucketResult><IsTruncated>{cut}</IsTruncated>{entries}{more}</ListBucketResult>"


def _azure(objects: dict[str, bytes], keys: list[str], following: list[str]) -> str:
    entries = "".join(
        f"<Blob><Name>{escape(key)}</Name><Properties><Last-Modified>"
        f"{format_datetime(WRITTEN, usegmt=True)}</Last-Modified><Content-Length>"
        f"{len(objects[key])}</Content-Length><Content-Type>image/png</Content-Type>"
        f"<Etag>{escape(etag(objects[key]))}</Etag></Properties></Blob>"
        for key in keys
    )
    marker = escape(following[0]) if following else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Prefix/>'
        f"<Blobs>{entries}</Blobs><NextMarker>{marker}</NextMarker></EnumerationResults>"
    )


def says(status: int, code: str = "") -> Answer:
    """Return an answer with an error, as the stores write them, with a secret in its text."""
    text = f"<Error><Code>{code}</Code><StringToSign>{SECRET}</StringToSign></Error>"

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text if code else "")

    return answer


async def hangs_up(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


@asynccontextmanager
async def serve_bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BucketServer]:
    """Serve a bucket, with an environment that leads the three stores' clients to it."""
    served = BucketServer()
    app = web.Application()
    app.router.add_get("/{path:.*}", served.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    served.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    lead_to(served.base, monkeypatch)
    try:
        yield served
    finally:
        await runner.cleanup()


def lead_to(base: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set what the three stores' clients read of the environment."""
    google = {"gcs_base_url": base, "disable_oauth": True, "client_email": "", "private_key": ""}
    for name, value in {
        "AWS_ENDPOINT_URL": base,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "eu-central-1",
        "AWS_ALLOW_HTTP": "true",
        "GOOGLE_SERVICE_ACCOUNT_KEY": json.dumps({**google, "private_key_id": ""}),
        "GOOGLE_ALLOW_HTTP": "true",
        "AZURE_STORAGE_ACCOUNT_NAME": "account",
        "AZURE_STORAGE_ACCOUNT_KEY": SECRET,
        "AZURE_STORAGE_ENDPOINT": f"{base}/account",
        "AZURE_ALLOW_HTTP": "true",
    }.items():
        monkeypatch.setenv(name, value)
