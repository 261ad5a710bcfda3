"""Content is found by its hash at the key of the release that has stored it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from triptych.errors import ObjectDamaged, ObjectMissing
from triptych.media.contents import has_content, older_key, read_content
from triptych.objects import ObjectStore, object_key, open_store

BODY = b"a picture"
SHA256 = hashlib.sha256(BODY).digest()


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return open_store("memory:", tmp_path)


@pytest.mark.parametrize("key", [object_key(SHA256), older_key(SHA256)], ids=["now", "before"])
async def test_it_is_found_at_the_key_of_now_and_of_before(store: ObjectStore, key: str) -> None:
    await store.put_as(key, BODY, "image/png")
    assert await read_content(store, SHA256) == BODY
    assert await has_content(store, SHA256)


async def test_what_is_nowhere_is_missing_under_its_name_of_now(store: ObjectStore) -> None:
    with pytest.raises(ObjectMissing, match=object_key(SHA256)):
        await read_content(store, SHA256)
    assert not await has_content(store, SHA256)


@pytest.mark.parametrize("place", ["now", "before"])
async def test_damaged_bytes_are_no_content(store: ObjectStore, place: str) -> None:
    if place == "now":
        await store.put_as(older_key(SHA256), BODY, "image/png")
    key = object_key(SHA256) if place == "now" else older_key(SHA256)
    await store.put_as(key, b"others", "image/png")
    with pytest.raises(ObjectDamaged):
        await read_content(store, SHA256)
