"""The page shows thumbnails that it is redirected to S3 for, with a key and without one."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from aws_local.emulator import REGION, Emulator
from playwright.sync_api import Browser, expect

from tests.support.api_server import HOST, Api, commit, create_keys, put_objects, serving
from tests.support.browser_page import watched_page
from tests.support.dashboard import Loop
from tests.support.picture_origin import picture
from triptych.queues.sqs.sqs_client import AwsClient

LAST = "[data-place='4'] img"


async def _bucket() -> str:
    name = f"bucket-{uuid4().hex}"
    client = AwsClient("s3", None)
    place = {"LocationConstraint": REGION}
    await client.call("create_bucket", Bucket=name, CreateBucketConfiguration=place)
    await client.close()
    return f"s3://{name}"


async def _allow(bucket: str, page: str) -> None:
    """Let scripts of a page's origin read the bucket, as the AWS template does."""
    client = AwsClient("s3", None)
    rule = {"AllowedMethods": ["GET"], "AllowedOrigins": [page]}
    await client.call(
        "put_bucket_cors",
        Bucket=urlsplit(bucket).netloc,
        CORSConfiguration={"CORSRules": [rule]},
    )
    await client.close()


async def _fill(api: Api) -> dict[str, str]:
    contents = {f"https://x.example/{n}": (picture(n), "image/png") for n in range(5)}
    await put_objects(api.services.settings, contents)
    await commit(api.stores, "nike", contents)
    return await create_keys(api)


@pytest.mark.parametrize("with_key", [True, False], ids=["key", "open"])
def test_thumbnails_come_from_the_bucket(
    browser: Browser, loop: Loop, migrated_dsn: str, tmp_path: Path, aws: Emulator, with_key: bool
) -> None:
    bucket = loop.call(_bucket())
    options = {"store_url": bucket, "direct_thumbnails": True}
    with loop.holding(serving(migrated_dsn, tmp_path, **options)) as opened:
        tokens = loop.call(_fill(opened))
    hosts = {"allowed_hosts": (HOST,)} if with_key else {}
    with loop.holding(serving(migrated_dsn, tmp_path, **options, **hosts)) as api:
        loop.call(_allow(bucket, api.url))
        context = browser.new_context(base_url=api.url)
        page, log = watched_page(context)
        log.expected += ["the server responded with a status of 401"]
        read: list[str] = []
        page.on("response", lambda answer: read.append(urlsplit(answer.url).netloc))
        page.goto("/brands/nike")
        if with_key:
            page.get_by_label("Key", exact=True).fill(tokens["reader"])
            page.keyboard.press("Enter")
        expect(page.locator(LAST)).to_be_visible()
        width = page.locator(LAST).evaluate(
            "image => image.decode().then(() => image.naturalWidth)"
        )
        assert width > 0
        assert urlsplit(aws.endpoint).netloc in read
        context.close()
        assert log.unexpected() == []
