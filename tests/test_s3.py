"""What is S3's own: encryption, signatures that a server verifies, reads by signed URL."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aws_local.child_server import HOST, free_port
from aws_local.emulator import PYTHON, REGION, Emulator

from triptych.errors import StoreUnavailable
from triptych.objects import open_store
from triptych.queues.sqs.sqs_client import AwsClient

pytestmark = pytest.mark.integration

BODY = b"content"
SHA256 = hashlib.sha256(BODY).digest()
KEY, SECRET = "AKIATRIPTYCH", "a secret"
START_S = 30.0


@pytest.fixture
def verifying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 server that verifies each request's signature (rclone's), and its credentials set."""
    port = free_port()
    (tmp_path / "buckets" / "bucket").mkdir(parents=True)
    process = subprocess.Popen(
        [
            *(PYTHON.with_name("rclone"), "serve", "s3", "--addr", f"{HOST}:{port}"),
            *("--auth-key", f"{KEY},{SECRET}", "--config", "", tmp_path / "buckets"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        until = time.monotonic() + START_S
        while b"Starting s3 server" not in process.stderr.readline():
            assert process.poll() is None
            assert time.monotonic() < until
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{HOST}:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
        }.items():
            monkeypatch.setenv(name, value)
        yield "s3://bucket/some prefix+ü"
    finally:
        process.terminate()
        process.wait(START_S)
        assert process.stderr is not None
        process.stderr.close()


async def test_requests_are_signed_as_a_verifying_server_wants_it(verifying: str) -> None:
    store = open_store(verifying, Path("unused"))
    await store.check()
    key = await store.put(BODY, SHA256, "image/png")
    assert await store.get(key) == BODY
    await store.delete([key])
    assert not await store.exists(key)


async def test_g9_a_wrong_secret_is_refused(
    verifying: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    with pytest.raises(StoreUnavailable, match="credentials") as caught:
        await open_store(verifying, Path("unused")).check()
    assert "\n" not in str(caught.value)


async def test_a_signed_url_reads_one_object_and_no_other(verifying: str) -> None:
    store = open_store(verifying, Path("unused"))
    keys = [await store.put(b, hashlib.sha256(b).digest(), "image/png") for b in (BODY, b"other")]
    url = await store.signed_url(keys[0])
    assert url is not None
    async with aiohttp.ClientSession() as session:
        async with session.get(url) as answer:
            assert await answer.read() == BODY
        for wrong in (url.replace(keys[0], keys[1]), url.partition("?")[0]):
            async with session.get(wrong) as answer:
                assert answer.status in {400, 403}


async def test_stores_that_sign_nothing_say_so(tmp_path: Path) -> None:
    for url in ("file:", "memory:"):
        assert await open_store(url, tmp_path).signed_url("sha256/x") is None


async def headers_of(bucket: str, key: str) -> dict[str, str]:
    place = urlsplit(bucket)
    client = AwsClient("s3", None)
    answer = await client.call(
        "head_object", Bucket=place.netloc, Key=f"{place.path.lstrip('/')}/{key}"
    )
    await client.close()
    headers: dict[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
    return headers


async def test_a_key_of_ones_own_encrypts(
    aws: Emulator, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SERVER_SIDE_ENCRYPTION", "aws:kms")
    monkeypatch.setenv("AWS_SSE_KMS_KEY_ID", "alias/triptych")
    key = await open_store(bucket, Path("unused")).put(BODY, SHA256, "image/png")
    headers = await headers_of(bucket, key)
    assert headers["x-amz-server-side-encryption"] == "aws:kms"
    assert headers["x-amz-server-side-encryption-aws-kms-key-id"] == "alias/triptych"


@pytest.mark.parametrize(
    ("media_type", "shown"),
    [("image/png", True), ("video/mp4", True), ("image/svg+xml", False), ("text/html", False)],
)
async def test_g9_what_could_hold_a_script_is_downloaded(
    bucket: str, media_type: str, shown: bool
) -> None:
    key = await open_store(bucket, Path("unused")).put(BODY, SHA256, media_type)
    headers = await headers_of(bucket, key)
    assert (headers["content-type"] == media_type) == shown
    assert headers.get("content-disposition") == (None if shown else "attachment")
