"""The source ``bucket`` against S3's, Google's and Azure's listing, with odd keys and failures."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import uuid4

import pytest
from aws_local.emulator import REGION, Emulator

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
from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather.bucket import open_bucket
from triptych.gather.phase import new_item
from triptych.gather.source import Row
from triptych.gather.source_check import check_source
from triptych.gather.source_reach import SourceReach, reach_of
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.source_type import SourceContext
from triptych.gather.sources.bucket import BUCKET
from triptych.queues.sqs.sqs_client import AwsClient
from triptych.testing.collect import collect, opened

pytestmark = pytest.mark.integration

ODD = ("a b.jpg", "100%.jpg", "a%20b.jpg", "#1?.jpg", "ü/日本.jpg", "a+b@2x=&;'(1)~.jpg", "\\.jpg")


@pytest.fixture
async def served(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BucketServer]:
    async with serve_bucket(monkeypatch) as running:
        yield running


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    defaults = open_bucket.__kwdefaults__
    assert defaults is not None
    monkeypatch.setitem(defaults, "retries", {"max_retries": 0})


async def rows(place: str, page_rows: int = 100) -> Sequence[Row]:
    async with opened(BUCKET, place, page_rows=page_rows) as source:
        return (await collect(source)).rows


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_objects_of_a_folder_have_what_their_keys_say(
    served: BucketServer, scheme: str
) -> None:
    body = b"picture"
    served.objects = {"2026/shoes/red/1.final.jpg": body, "2026x/2.jpg": body, "3.jpg": body}
    (row,) = await rows(served.url(scheme, "2026/shoes"))
    assert row == Row(
        f"{scheme}://pictures/2026/shoes/red/1.final.jpg",
        {
            "path": "red/1.final.jpg",
            "folders": ["red"],
            "name": "1.final",
            "size_bytes": 7,
            "modified": "2026-11-24T10:00:00+00:00",
            "etag": etag(body),
        },
        "red/1.final.jpg",
    )
    assert [each.url[-5:] for each in await rows(f"{scheme}://pictures")] == [
        *("l.jpg", "2.jpg", "3.jpg")
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_2500_objects_are_read_over_pages_and_from_every_cursor(
    served: BucketServer, scheme: str
) -> None:
    served.objects = {f"p/{n:05}.jpg": b"x" for n in range(2_500)}
    found = await rows(served.url(scheme, "p"), page_rows=900)
    assert [row.url for row in found] == [f"{scheme}://pictures/p/{n:05}.jpg" for n in range(2_500)]
    assert len(served.listings) > 3, "it reads from every cursor"


async def test_what_was_added_or_removed_meanwhile_repeats_and_skips_nothing(
    served: BucketServer,
) -> None:
    served.objects = {f"{n}.jpg": b"x" for n in range(1, 7)}
    async with opened(BUCKET, "s3://pictures", page_rows=2) as source:
        pages = source.pages("b", None)
        cursor = (await anext(pages)).cursor
        served.objects["0.jpg"] = b"x"
        del served.objects["2.jpg"]
        rest = [row.url[-5:] async for page in source.pages("b", cursor) for row in page.rows]
    assert rest == ["3.jpg", "4.jpg", "5.jpg", "6.jpg"]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_odd_keys_become_urls_that_are_kept_as_they_are(
    served: BucketServer, scheme: str
) -> None:
    served.objects = dict.fromkeys(ODD, b"x")
    found = await rows(f"{scheme}://pictures")
    assert sorted(row.place for row in found) == sorted(ODD)
    for row in found:
        item = new_item(row)
        assert item.refused is None
        assert item.url == row.url
        assert row.url.isascii()


@pytest.mark.parametrize("key", ["a//b.jpg", "a/../b.jpg", "./b.jpg", "a\tb.jpg"])
async def test_a_key_that_cannot_be_named_is_said_and_none_is_left_out_in_silence(
    served: BucketServer, key: str
) -> None:
    served.objects = {"a.jpg": b"x", key: b"x"}
    with pytest.raises(SourceRefused, match=r"has an object whose key cannot be named"):
        await rows("s3://pictures")


async def test_what_is_left_out_is_counted_by_its_reason(served: BucketServer) -> None:
    left_out = ["list.csv", "b/.DS_Store", ".cache/1.jpg", "b/Thumbs.db"]
    served.objects = {**dict.fromkeys(left_out, b"x"), "empty.jpg": b"", "b/": b"", "a": b"x"}
    async with opened(BUCKET, "s3://pictures") as source:
        check = await check_source(source, "bucket:s3://pictures", "nike")
    assert (check.rows_read, check.items, check.rows_refused) == (7, 1, 6)
    assert {one.problem: sorted(one.places) for one in check.problems} == {
        "It is hidden: its name begins with a dot.": [".cache/1.jpg", "b/.DS_Store"],
        "It is empty.": ["b", "empty.jpg"],
        "Its name ends in .csv: it is no picture.": ["list.csv"],
        "Its name ends in .db: it is no picture.": ["b/Thumbs.db"],
    }


async def test_what_is_beyond_the_limit_is_said(
    served: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.gather.sources.bucket.FILES_MAX", 2)
    served.objects = {f"{n}.jpg": b"x" for n in range(5)}
    found = await rows("s3://pictures")
    assert [row.refused for row in found] == [
        *("", "", "A source is read up to 2 files: what comes after is not read.")
    ]


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_folder_without_an_object_is_refused(served: BucketServer, scheme: str) -> None:
    served.objects = {"other/1.jpg": b"x"}
    with pytest.raises(SourceRefused, match=r"There is no object to acquire in .*pictures/empty"):
        await rows(served.url(scheme, "empty"))


@pytest.mark.parametrize(
    ("status", "code", "error", "says_so"),
    [
        (403, "AccessDenied", SourceRefused, r"HTTP 403 AccessDenied.*credentials"),
        (404, "NoSuchBucket", SourceRefused, "HTTP 404 NoSuchBucket"),
        (400, "InvalidRequest", SourceRefused, "HTTP 400 InvalidRequest"),
        (400, "ExpiredToken", SourceUnavailable, "HTTP 400 ExpiredToken"),
        (503, "SlowDown", SourceUnavailable, "HTTP 503 SlowDown"),
        (500, "InternalError", SourceUnavailable, "HTTP 500 InternalError"),
    ],
)
async def test_a_store_that_does_not_list_is_said_without_what_it_quotes(
    served: BucketServer, status: int, code: str, error: type[Exception], says_so: str
) -> None:
    served.answers["LIST"] = says(status, code)
    with pytest.raises(error, match=says_so) as raised:
        await rows("s3://pictures")
    assert SECRET not in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_store_that_does_not_answer_is_asked_again_later(
    served: BucketServer, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served.answers["LIST"] = hangs_up
    with pytest.raises(SourceUnavailable, match="cannot be listed"):
        await rows(f"{scheme}://pictures")
    lead_to("http://127.0.0.1:1", monkeypatch)
    with pytest.raises(SourceUnavailable, match="cannot be listed"):
        await rows(f"{scheme}://pictures")


async def test_without_an_account_azure_is_refused_with_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(SourceUnavailable, match="Account must be specified"):
        await rows("az://pictures")


async def test_only_listed_buckets_are_asked_with_the_brands_name_in_them(
    served: BucketServer,
) -> None:
    served.objects = {"team/nike air/1.jpg": b"x", "teams/1.jpg": b"x"}
    within = reach_of((), ("s3://pictures/team",), own=None, own_web=False)
    registry = SourceRegistry.discover()

    async def found(place: str, reach: SourceReach) -> list[str]:
        context = SourceContext(None, None, 100, reach)  # type: ignore[arg-type]
        source = BUCKET.open(place, context)
        return [row.url async for page in source.pages("nike air", None) for row in page.rows]

    assert await found("s3://pictures/team/{brand}", within) == [
        "s3://pictures/team/nike%20air/1.jpg"
    ]
    for place in ("s3://pictures", "s3://pictures/teams", "s3://pictures/tea%6Ds", "gs://pictures"):
        assert registry.refusal(f"bucket:{place}", within) is not None
        with pytest.raises(SourceRefused, match="TRIPTYCH_SOURCE_BUCKETS"):
            await found(place, within)


@pytest.mark.parametrize(
    "place",
    [
        *("pictures", "/srv/pictures", "https://pictures/a", "s3://", "s3://a b/c"),
        *("s3://pictures/../other", "s3://pictures/a//b", "s3://pictures/%2e%2e/b", "s3a://b/c"),
        *("s3://key:secret@pictures/a", "s3://pictures/a?versionId=1"),
    ],
)
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"\.$|cannot be a folder"):
        BUCKET.check(place)


async def test_s3_as_the_emulator_speaks_it(aws: Emulator) -> None:
    name = f"bucket-{uuid4().hex}"
    client = AwsClient("s3", REGION)
    await client.call(
        "create_bucket", Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    keys = [f"p/{key}" for key in ODD] + [f"p/{n:04}.jpg" for n in range(30)]
    for key in [*keys, "q/1.jpg"]:
        await client.call("put_object", Bucket=name, Key=key, Body=b"x")
    await client.close()
    found = await rows(f"s3://{name}/p", page_rows=10)
    assert sorted(f"p/{row.place}" for row in found) == sorted(keys)
