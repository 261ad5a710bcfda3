"""`triptych verify --repair` brings objects back from the versions that a bucket has kept."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.support.api_server import commit, put_objects, settings_for
from tests.support.object_damage import DAMAGES, damage
from tests.support.picture_server import Site, picture
from triptych.objects import ObjectStore, object_key, open_store
from triptych.queues.sqs.sqs_client import AwsClient
from triptych.settings.settings import Settings
from triptych.snapshots.object_check import Finding, Tally
from triptych.wiring.s3_versions import S3Versions
from triptych.wiring.services import connect
from triptych.wiring.stores import Stores
from triptych.wiring.verification import Wanted, open_verification

PICTURES = 4


@pytest.fixture
async def versioned(bucket: str) -> str:
    """The address of a bucket with versions that is the test's own."""
    client = AwsClient("s3", None)
    await client.call(
        "put_bucket_versioning",
        Bucket=urlsplit(bucket).netloc,
        VersioningConfiguration={"Status": "Enabled"},
    )
    await client.close()
    return bucket


@pytest.fixture
def settings(versioned: str, migrated_dsn: str, tmp_path: Path) -> Settings:
    allowed = {"fetch_allow": "127.0.0.0/8", "robots": False}
    return settings_for(migrated_dsn, tmp_path, store_url=versioned, **allowed)


@pytest.fixture
async def stores(settings: Settings, migrated_dsn: str) -> AsyncIterator[Stores]:
    async with connect(settings, migrated_dsn) as services:
        yield services.stores


def store_of(settings: Settings) -> ObjectStore:
    return open_store(settings.store_url, settings.data)


async def committed(settings: Settings, stores: Stores, site: Site) -> Mapping[str, bytes]:
    """Commit a brand, and give its URLs other pictures; return the keys of its objects."""
    bodies = [picture(number) for number in range(PICTURES)]
    contents = {f"{site.base}/nike/{n}.png": (body, "image/png") for n, body in enumerate(bodies)}
    await put_objects(settings, contents)
    await commit(stores, "nike", contents)
    site.seed = 1000
    return {object_key(hashlib.sha256(body).digest()): body for body in bodies}


async def repaired(settings: Settings) -> tuple[list[Finding], Tally]:
    wanted = Wanted((), quick=False, repair=True, at_once=4, first=0)
    async with open_verification(settings, wanted) as verification:
        found = [finding async for finding in verification.findings]
        return found, verification.check.tally


async def test_g6_what_the_collector_deleted_is_brought_back_after_a_restore_of_the_database(
    settings: Settings, stores: Stores, site: Site
) -> None:
    bodies, store = await committed(settings, stores, site), store_of(settings)
    await store.delete(list(bodies))
    found, tally = await repaired(settings)
    assert (tally.missing, tally.repaired, tally.wrong, site.hits) == (PICTURES, PICTURES, 0, 0)
    assert all(one.outcome.startswith("fetched from a version of 20") for one in found)
    assert {key: await store.get(key) for key in bodies} == bodies
    assert (await repaired(settings))[0] == []


async def test_what_was_overwritten_is_brought_back_too(
    settings: Settings, stores: Stores, site: Site
) -> None:
    bodies, store = await committed(settings, stores, site), store_of(settings)
    for key, how in zip(bodies, ("flipped", "cut", "longer", "zeroed"), strict=True):
        damage(store, key, DAMAGES[how])
    _, tally = await repaired(settings)
    assert (tally.repaired, tally.wrong, site.hits) == (PICTURES, 0, 0)
    assert {key: await store.get(key) for key in bodies} == bodies


async def test_a_version_of_other_bytes_is_not_taken(
    settings: Settings, stores: Stores, site: Site
) -> None:
    bodies, store = await committed(settings, stores, site), store_of(settings)
    client, place = AwsClient("s3", None), urlsplit(settings.store_url)
    for key in bodies:
        name = f"{place.path.strip('/')}/{key}"
        damage(store, key, DAMAGES["flipped"])
        listed = await client.call("list_object_versions", Bucket=place.netloc, Prefix=name)
        for version in listed["Versions"]:
            if not version["IsLatest"]:
                await client.call(
                    "delete_object",
                    Bucket=place.netloc,
                    Key=name,
                    VersionId=version["VersionId"],
                )
    await client.close()
    found, tally = await repaired(settings)
    assert (tally.repaired, tally.wrong) == (0, PICTURES)
    assert all("has other bytes now" in one.outcome for one in found)


async def test_where_versions_may_not_be_read_its_url_is_tried_and_that_is_told(
    settings: Settings, stores: Stores, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies, store = await committed(settings, stores, site), store_of(settings)
    await store.delete(list(bodies))
    site.instead = dict(enumerate(bodies.values()))
    del site.instead[PICTURES - 1]
    call = AwsClient.call

    async def refused(client: AwsClient, operation: str, **request: object) -> dict[str, Any]:
        if operation == "list_object_versions":
            raise ClientError({"Error": {"Code": "AccessDenied"}}, operation)
        return await call(client, operation, **request)

    monkeypatch.setattr(AwsClient, "call", refused)
    found, tally = await repaired(settings)
    assert (tally.repaired, tally.wrong) == (PICTURES - 1, 1)
    (left,) = [one for one in found if not one.repaired]
    assert "versions in the bucket" in left.outcome
    assert "has other bytes now" in left.outcome


async def test_a_bucket_without_versions_has_none(bucket: str) -> None:
    store, versions = open_store(bucket, Path("unused")), S3Versions(bucket)
    sha256 = hashlib.sha256(b"body").digest()
    key = await store.put(b"body", sha256, "image/png")
    await store.delete([key])
    assert await versions.find(key, sha256=sha256, sizes={4}) is None
    await versions.close()
