"""Whole reads of damaged objects fail, in every store; puts replace them."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.object_damage import DAMAGES, SAME_SIZE, Damage, damage, overwrite, swap
from triptych.errors import DatabaseUnavailable, ObjectDamaged, ObjectMissing
from triptych.objects import CHUNK_BYTES, ObjectStore, content_hash, object_key, open_store
from triptych.telemetry.metrics import OBJECTS_DAMAGED, OBJECTS_REPLACED

LARGE = random.Random(1).randbytes(2 * CHUNK_BYTES + 5)
BODIES = {"small": b"content", "chunk": LARGE[:CHUNK_BYTES], "large": LARGE}
whatever_body = pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
whatever_damage = pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES)


class Notes:
    """Has the keys of damaged objects; fails if told to."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.away = False

    async def note(self, keys: Sequence[str]) -> None:
        if self.away:
            raise DatabaseUnavailable
        self.keys += keys

    async def noted(self, keys: Sequence[str]) -> frozenset[str]:
        return frozenset(keys) & frozenset(self.keys)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture(params=["file:", "memory:", pytest.param("s3:", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest, tmp_path: Path, notes: Notes) -> ObjectStore:
    url = request.getfixturevalue("bucket") if request.param == "s3:" else request.param
    return open_store(url, tmp_path / "objects", notes)


async def put(store: ObjectStore, body: bytes) -> str:
    return await store.put(body, hashlib.sha256(body).digest(), "image/png")


async def streamed(store: ObjectStore, key: str, size: int) -> tuple[bytes, Exception | None]:
    """Return what a stream yields, and how it fails."""
    got = b""
    try:
        async for chunk in store.stream(key, size_bytes=size):
            got += chunk
    except ObjectMissing as error:
        return got, error
    return got, None


def test_only_keys_of_content_say_a_hash() -> None:
    digest = hashlib.sha256(b"x").digest()
    assert content_hash(object_key(digest)) == digest
    for key in ("sha256/probe/room", "exports/x/a.csv", f"sha256/00/{'1' * 64}", "sha256/ab/ab"):
        assert content_hash(key) is None


@whatever_body
async def test_what_is_whole_is_read_whole(store: ObjectStore, notes: Notes, body: bytes) -> None:
    key = await put(store, body)
    assert await store.get(key, size_bytes=len(body)) == body
    assert await streamed(store, key, len(body)) == (body, None)
    assert await store.digest(key) == content_hash(key)
    assert notes.keys == []


@whatever_body
@whatever_damage
async def test_a_damaged_object_is_never_read_whole(
    store: ObjectStore, notes: Notes, body: bytes, how: Damage
) -> None:
    key = await put(store, body)
    damage(store, key, how)
    counted = OBJECTS_DAMAGED.labels("read")._value.get()
    with pytest.raises(ObjectDamaged, match=key):
        await store.get(key)
    assert OBJECTS_DAMAGED.labels("read")._value.get() == counted + 1
    assert await store.digest(key) != content_hash(key)
    got, error = await streamed(store, key, len(body))
    assert isinstance(error, ObjectMissing)
    assert len(got) < len(body)
    assert set(notes.keys) == {key}


async def test_of_a_small_object_not_even_a_part_is_streamed(store: ObjectStore) -> None:
    key = await put(store, BODIES["chunk"])
    damage(store, key, DAMAGES["last_flipped"])
    got, error = await streamed(store, key, CHUNK_BYTES)
    assert got == b""
    assert isinstance(error, ObjectDamaged)


async def test_swapped_objects_are_both_damaged(store: ObjectStore, notes: Notes) -> None:
    keys = [await put(store, body) for body in (b"one", b"two")]
    swap(store, *keys)
    for key in keys:
        with pytest.raises(ObjectDamaged):
            await store.get(key)
    assert notes.keys == keys


async def test_a_missing_object_is_missing_and_not_damaged(
    store: ObjectStore, notes: Notes
) -> None:
    key = await put(store, LARGE)
    await store.delete([key])
    with pytest.raises(ObjectMissing) as error:
        await store.get(key)
    assert not isinstance(error.value, ObjectDamaged)
    assert isinstance((await streamed(store, key, len(LARGE)))[1], ObjectMissing)
    assert await store.digest(key) is None
    assert notes.keys == []


async def test_a_size_that_the_row_does_not_have_is_a_damage(store: ObjectStore) -> None:
    key = await put(store, b"content")
    with pytest.raises(ObjectDamaged):
        await store.get(key, size_bytes=8)


async def test_what_is_noted_is_not_present(store: ObjectStore) -> None:
    one, other = [await put(store, body) for body in (b"content", b"another")]
    assert await store.present({one: 7, other: 7}) == {one, other}
    damage(store, one, DAMAGES["flipped"])
    assert await store.present({one: 7, other: 7}) == {one, other}, "its size is right"
    with pytest.raises(ObjectDamaged):
        await store.get(one)
    assert await store.present({one: 7, other: 7}) == {other}
    with pytest.raises(ObjectMissing):
        await store.check_present(one, 7)


async def test_what_cannot_be_noted_is_still_an_error(store: ObjectStore, notes: Notes) -> None:
    key = await put(store, b"content")
    damage(store, key, DAMAGES["flipped"])
    notes.away = True
    with pytest.raises(ObjectDamaged):
        await store.get(key)


@whatever_body
@whatever_damage
async def test_g6_a_put_replaces_a_damaged_object(
    store: ObjectStore, body: bytes, how: Damage
) -> None:
    key = await put(store, body)
    damage(store, key, how)
    replaced = OBJECTS_REPLACED._value.get()
    assert await put(store, body) == key
    assert await store.get(key) == body
    assert OBJECTS_REPLACED._value.get() == replaced + 1
    await put(store, body)
    assert OBJECTS_REPLACED._value.get() == replaced + 1


async def test_listings_tell_sizes(store: ObjectStore) -> None:
    one, other = [await put(store, body) for body in (b"a", b"content")]
    assert await store.sizes([one, other, object_key(bytes(32))]) == {one: 1, other: 7}
    listed = await store.list_under(other.rpartition("/")[0] + "/")
    assert listed[other].size_bytes == 7
    assert listed[other].modified_at.tzinfo is not None
    assert await store.list_under("sha256/zz/") == {}


@given(
    st.binary(min_size=1, max_size=300),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(1, 255)), max_size=4),
    st.integers(-300, 300),
)
@settings(max_examples=200, deadline=None)
def test_whatever_happens_to_the_bytes_the_read_is_right_or_fails(
    body: bytes, flips: list[tuple[int, int]], grown: int
) -> None:
    changed = bytearray(body)
    for place, bits in flips:
        changed[place % len(body)] ^= bits
    left = bytes(changed[: len(body) + grown]) if grown < 0 else bytes(changed) + bytes(grown)

    async def check() -> None:
        store = open_store("memory:", Path("unused"))
        key = await put(store, body)
        overwrite(store, key, left)
        try:
            assert await store.get(key) == body
        except ObjectDamaged:
            assert left != body
        got, error = await streamed(store, key, len(body))
        assert (got == body) == (error is None) == (left == body)
        await put(store, body)
        assert await store.get(key) == body

    asyncio.run(check())


def test_every_kind_of_damage_changes_the_bytes() -> None:
    for body in BODIES.values():
        assert all(how(body) != body for how in DAMAGES.values())
        assert all(len(how(body)) == len(body) for how in SAME_SIZE.values())
