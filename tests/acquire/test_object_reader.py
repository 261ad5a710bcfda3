"""Objects and files are read within the limits of the web, and only those that are listed."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.bucket_server import (
    SCHEMES,
    SECRET,
    BucketServer,
    etag,
    hangs_up,
    lead_to,
    says,
    serve_bucket,
)
from triptych.acquire import object_body
from triptych.acquire.object_reader import ObjectReader
from triptych.errors import HostBusy, HostDown, PermanentItemError, TransientItemError
from triptych.fetch.body_budget import BodyBudget
from triptych.fetch.down_hosts import DownHosts
from triptych.fetch.fetcher import Fetched, Validators
from triptych.fetch.host_throttle import HostThrottle
from triptych.gather.object_reach import ObjectReach
from triptych.gather.object_url import ObjectUrl
from triptych.gather.source_reach import reach_of
from triptych.model import Reason

pytestmark = pytest.mark.integration

CAP = 3_000_000
ODD = ("a b.jpg", "100%.jpg", "a%20b.jpg", "#1?.jpg", "ü/日本.jpg", "a+b@2x=&;'(1)~.jpg")


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BucketServer]:
    async with serve_bucket(monkeypatch) as running:
        yield running


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


class Reader:
    """An object reader with one listed folder and one bucket of each store."""

    def __init__(
        self,
        folder: Path,
        threads: ThreadPoolExecutor,
        *,
        own: str | None = None,
        deadline_s: float = 20.0,
    ) -> None:
        self.trusted: set[tuple[str, str]] = set()
        self.budget = BodyBudget(4 * CAP, cap=CAP, bodies=2)
        self.reader = ObjectReader(
            ObjectReach(
                reach_of(
                    (folder,), tuple(f"{one}://pictures" for one in SCHEMES), own=own, own_web=False
                ),
                self.is_trusted,
            ),
            self.budget,
            HostThrottle(concurrency=10, rate_per_s=None),
            DownHosts(contacts=2, probes=2),
            threads,
            deadline_s=deadline_s,
        )

    async def is_trusted(self, brand: str, source: str) -> bool:
        return (brand, source) in self.trusted

    async def read(
        self, url: str, known: Validators | None = None, *, source: str | None = None
    ) -> Fetched | None:
        with await self.reader.slot(url) as slot:
            slot.begin()
            found = await self.reader.fetch(url, known, brand="nike", source=source)
        if found is not None:
            found.share.release()
        assert self.budget.held == 0
        return found

    async def bytes(self, url: str) -> bytes:
        found = await self.read(url)
        assert found is not None
        return found.body

    async def fails(self, url: str, *, source: str | None = None) -> tuple[Reason, str]:
        with pytest.raises((PermanentItemError, TransientItemError)) as raised:
            await self.read(url, source=source)
        assert self.budget.held == 0
        assert SECRET not in str(raised.value)
        return raised.value.reason, raised.value.detail


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    folder = tmp_path / "listed"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(b"secret")
    return folder


@pytest.fixture
def reader(listed: Path, threads: ThreadPoolExecutor) -> Reader:
    return Reader(listed, threads)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_an_object_is_read_and_not_again_until_it_changes(
    served: BucketServer, reader: Reader, scheme: str
) -> None:
    served.objects["a/1.jpg"] = b"x" * 2_500_000
    url = served.url(scheme, "a/1.jpg")
    found = await reader.read(url)
    assert found is not None
    assert (found.body, found.etag) == (b"x" * 2_500_000, etag(b"x" * 2_500_000))
    assert (found.last_modified, found.media_type, found.final_url) == (
        *("Tue, 24 Nov 2026 10:00:00 GMT", "image/png", url),
    )
    known = Validators(found.etag, found.last_modified)
    assert await reader.read(url, known) is None
    assert (served.reads, served.unchanged) == (["a/1.jpg"], ["a/1.jpg"])
    served.objects["a/1.jpg"] = b"y"
    again = await reader.read(url, known)
    assert again is not None
    assert again.body == b"y"


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_objects_with_odd_keys_are_those_that_were_named(
    served: BucketServer, reader: Reader, scheme: str
) -> None:
    served.objects = {key: key.encode() for key in ODD}
    for key in ODD:
        assert await reader.bytes(str(ObjectUrl(scheme, "pictures", key))) == key.encode()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, "NoSuchKey", Reason.NOT_FOUND),
        (403, "AccessDenied", Reason.FORBIDDEN),
        (401, "", Reason.FORBIDDEN),
        (400, "InvalidRequest", Reason.HTTP_ERROR),
        (400, "ExpiredToken", Reason.SERVER_ERROR),
        (403, "RequestTimeTooSkewed", Reason.SERVER_ERROR),
        (500, "InternalError", Reason.SERVER_ERROR),
        (503, "SlowDown", Reason.THROTTLED),
        (429, "", Reason.THROTTLED),
    ],
)
async def test_what_a_store_answers_has_the_reasons_of_the_web(
    served: BucketServer,
    reader: Reader,
    status: int,
    code: str,
    reason: Reason,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("triptych.fetch.host_throttle.COOL_FIRST_S", 60.0)
    served.answers["1.jpg"] = says(status, code)
    url = served.url("s3", "1.jpg")
    assert await reader.fails(url) == (reason, f"HTTP {status} {code}".strip())
    if reason is Reason.THROTTLED:
        with pytest.raises(HostBusy, match="s3:pictures is at its pace"):
            await reader.read(url)


async def test_an_object_beyond_the_limit_is_not_read(served: BucketServer, reader: Reader) -> None:
    served.objects["1.jpg"] = b"x" * (CAP + 1)
    assert await reader.fails(served.url("s3", "1.jpg")) == (
        Reason.TOO_LARGE,
        f"{CAP + 1} bytes; {CAP} bytes are allowed",
    )
    served.objects["1.jpg"] = b""
    assert (await reader.fails(served.url("s3", "1.jpg")))[0] is Reason.NOT_AN_IMAGE


async def test_a_store_that_does_not_answer_is_down_and_comes_back(
    served: BucketServer, reader: Reader
) -> None:
    served.objects = {"1.jpg": b"x", "2.jpg": b"x"}
    served.answers["1.jpg"] = hangs_up
    with pytest.raises(HostDown) as down:
        await reader.read(served.url("s3", "1.jpg"))
    assert (down.value.host, down.value.tried) == ("s3:pictures", True)
    with pytest.raises(HostDown) as postponed:
        await reader.read(served.url("s3", "2.jpg"))
    assert not postponed.value.tried
    assert served.reads == []
    del served.answers["1.jpg"]
    await asyncio.sleep(down.value.retry_after_s)
    assert await reader.bytes(served.url("s3", "1.jpg")) == b"x"
    assert await reader.bytes(served.url("gs", "2.jpg")) == b"x", "another store was never down"


async def test_a_body_that_breaks_off_is_no_body(served: BucketServer, reader: Reader) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        headers = {"Last-Modified": "Tue, 24 Nov 2026 10:00:00 GMT", "Content-Length": "100"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        await response.write(b"x" * 10)
        assert request.transport is not None
        request.transport.close()
        return response

    served.objects["1.jpg"] = b"x"
    await reader.bytes(served.url("s3", "1.jpg"))
    served.answers["1.jpg"] = half
    assert (await reader.fails(served.url("s3", "1.jpg")))[0] is Reason.TRUNCATED


async def test_a_deadline_ends_the_wait_and_gives_everything_back(
    served: BucketServer, listed: Path, threads: ThreadPoolExecutor
) -> None:
    goes_on = asyncio.Event()

    async def waits(request: web.Request) -> web.StreamResponse:
        await goes_on.wait()
        return web.Response(status=500)

    served.objects["1.jpg"] = b"x"
    reader = Reader(listed, threads, deadline_s=0.3)
    await reader.bytes(served.url("s3", "1.jpg"))
    served.answers["1.jpg"] = waits
    begun = time.monotonic()
    try:
        assert await reader.fails(served.url("s3", "1.jpg")) == (
            Reason.TIMEOUT,
            "not done within 0.3 s",
        )
        assert time.monotonic() - begun < 5
    finally:
        goes_on.set()


async def test_without_credentials_the_store_counts_as_away(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    lead_to("http://127.0.0.1:1", monkeypatch)
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME")
    for scheme, why in {"s3": "error sending request", "az": "Account must be specified"}.items():
        with pytest.raises(HostDown, match=why) as down:
            await reader.read(f"{scheme}://pictures/1.jpg")
        assert SECRET not in str(down.value)


async def test_a_file_is_read_and_not_again_until_it_changes(
    listed: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = listed / "1.jpg"
    path.write_bytes(b"x" * 2_500_000)
    os.utime(path, (1e9, 1e9))
    url = f"file://{path}"
    found = await reader.read(url)
    assert found is not None
    assert (len(found.body), found.last_modified) == (2_500_000, "Sun, 09 Sep 2001 01:46:40 GMT")
    assert found.etag is None, "it was written a moment ago, and may be written again"
    monkeypatch.setattr(object_body, "SETTLED_S", -1.0)
    found = await reader.read(url)
    assert found is not None
    known = Validators(found.etag, found.last_modified)
    assert await reader.read(url, known) is None
    path.write_bytes(b"y" * 2_500_000)
    os.utime(path, (1e9, 1e9))
    again = await reader.read(url, known)
    assert again is not None, "its size and its time are those before"
    assert again.body[:1] == b"y"


async def test_odd_file_names_are_those_that_were_named(listed: Path, reader: Reader) -> None:
    for name in ("new\nline.jpg", "\udcff.jpg", "100%.jpg", "a%20b.jpg", "#?.jpg"):
        (listed / name).write_bytes(b"x")
        assert await reader.bytes(str(ObjectUrl("file", "", f"{listed}/{name}"))) == b"x"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("file:///etc/passwd", Reason.ADDRESS_REFUSED),
        ("file://{outside}/secret", Reason.ADDRESS_REFUSED),
        ("file://{listed}/../secret", Reason.INVALID_URL),
        ("file://{listed}/%2e%2e/secret", Reason.INVALID_URL),
        ("file://{listed}x/secret", Reason.ADDRESS_REFUSED),
        ("file://{listed}/to_secret", Reason.ADDRESS_REFUSED),
        ("file://{listed}/to_folder/secret", Reason.ADDRESS_REFUSED),
        ("file://{listed}/to_passwd", Reason.ADDRESS_REFUSED),
        ("file://{listed}/to_environ", Reason.ADDRESS_REFUSED),
        ("file://{listed}/fifo", Reason.ADDRESS_REFUSED),
        ("file://{listed}/sub", Reason.NOT_AN_IMAGE),
        ("file://{listed}/missing.jpg", Reason.NOT_FOUND),
        ("file://{listed}/sub/missing/a.jpg", Reason.NOT_FOUND),
        ("file:///proc/self/environ", Reason.ADDRESS_REFUSED),
        ("s3://other/1.jpg", Reason.ADDRESS_REFUSED),
        ("s3://pictures2/1.jpg", Reason.ADDRESS_REFUSED),
        ("az://pictures/a/../1.jpg", Reason.INVALID_URL),
        ("az://pictures/%2e%2e/1.jpg", Reason.INVALID_URL),
        ("s3://pictures", Reason.INVALID_URL),
        ("https://a.example/1.jpg", Reason.INVALID_URL),
    ],
)
async def test_g9_nothing_else_is_read(
    listed: Path, reader: Reader, url: str, reason: Reason
) -> None:
    outside = listed.parent
    (listed / "sub").mkdir()
    (listed / "to_secret").symlink_to(outside / "secret")
    (listed / "to_folder").symlink_to(outside)
    (listed / "to_passwd").symlink_to("/etc/passwd")
    (listed / "to_environ").symlink_to("/proc/self/environ")
    os.mkfifo(listed / "fifo")
    assert (await reader.fails(url.format(listed=listed, outside=outside)))[0] is reason


async def test_g9_what_a_trusted_source_names_is_read_and_nothing_beside_it(
    served: BucketServer, listed: Path, threads: ThreadPoolExecutor
) -> None:
    outside = listed.parent
    (outside / "own").mkdir()
    (outside / "own" / "1.jpg").write_bytes(b"x")
    (outside / "own" / "to_secret").symlink_to(outside / "secret")
    url, source = f"file://{outside}/own/1.jpg", f"folder:{outside}/own"
    reader = Reader(listed, threads, own="bucket:s3://settings/a")
    served.objects = {"1.jpg": b"x"}
    assert (await reader.fails(url, source=source))[0] is Reason.ADDRESS_REFUSED
    reader.trusted = {("nike", source), ("nike", "bucket:s3://mine/a")}
    assert await reader.read(url, source=source) is not None
    manifest = f"manifest:{outside}/own/list.csv"
    reader.trusted.add(("nike", manifest))
    for other, of in {
        f"file://{outside}/secret": source,
        f"file://{outside}/own/to_secret": source,
        "file:///etc/passwd": source,
        "s3://mine/b/1.jpg": "bucket:s3://mine/a",
        "s3://other/a/1.jpg": "bucket:s3://mine/a",
        url: manifest,
    }.items():
        assert (await reader.fails(other, source=of))[0] is Reason.ADDRESS_REFUSED
    # That of the settings is for runs that have no source of their own.
    assert (await reader.fails("s3://settings/b/1.jpg"))[0] is Reason.ADDRESS_REFUSED
    assert (await reader.fails("s3://settings/a/1.jpg"))[0] is Reason.NOT_FOUND


async def test_a_file_that_may_not_be_read_is_forbidden(
    listed: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listed / "1.jpg").write_bytes(b"x")

    def refuse(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    # Tests may run as root, who may read everything.
    monkeypatch.setattr("triptych.gather.source_folders.os.open", refuse)
    assert (await reader.fails(f"file://{listed}/1.jpg"))[0] is Reason.FORBIDDEN


async def test_a_file_that_changes_while_it_is_read_is_read_again(
    listed: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = listed / "1.jpg"
    path.write_bytes(b"x" * 10)
    chunk = object_body.FileBody._chunk

    def grow(self: object_body.FileBody) -> bytes | None:
        read = chunk(self)
        with path.open("r+b") as file:
            file.write(b"y")
        os.utime(path, (1e9, 1e9))
        return read

    monkeypatch.setattr(object_body.FileBody, "_chunk", grow)
    assert (await reader.fails(f"file://{path}"))[0] is Reason.TRUNCATED


async def test_a_share_that_is_away_is_down(
    listed: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    (listed / "1.jpg").write_bytes(b"x")

    def away(*_: object, **__: object) -> int:
        raise OSError(116, "Stale file handle")

    with monkeypatch.context() as patch:
        patch.setattr("triptych.gather.source_folders.os.open", away)
        with pytest.raises(HostDown, match="Stale file") as down:
            await reader.read(f"file://{listed}/1.jpg")
    await asyncio.sleep(down.value.retry_after_s)
    assert await reader.bytes(f"file://{listed}/1.jpg") == b"x"


async def test_no_descriptor_is_left_open(
    listed: Path, reader: Reader, threads: ThreadPoolExecutor
) -> None:
    (listed / "1.jpg").write_bytes(b"x")
    (listed / "large.jpg").write_bytes(b"x" * (CAP + 1))
    await reader.bytes(f"file://{listed}/1.jpg")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        await reader.bytes(f"file://{listed}/1.jpg")
        await reader.fails(f"file://{listed}/large.jpg")
        await reader.fails(f"file://{listed}/missing.jpg")
    threads.shutdown()
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
