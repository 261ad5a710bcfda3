"""Objects are copied whole, once, and only if they are what their hash says."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from tests.support.backups import listed
from triptych.backups import object_copies
from triptych.backups.backup_errors import NoRoom
from triptych.backups.object_copies import Copied, ObjectCopies
from triptych.backups.object_list import ListedObject
from triptych.objects import ObjectStore, open_store

SMALL, LARGE = b"small", b"large" * 1000


@pytest.fixture
def source(tmp_path: Path) -> ObjectStore:
    return open_store("file:", tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> ObjectStore:
    return open_store("file:", tmp_path / "target")


@pytest.fixture(autouse=True)
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_copies, "STREAMED_BYTES", 1000)


async def filled(store: ObjectStore, bodies: Sequence[bytes]) -> list[ListedObject]:
    for body in bodies:
        await store.put(body, hashlib.sha256(body).digest(), "image/png")
    return [listed(body) for body in bodies]


async def copied(copies: ObjectCopies, objects: Sequence[ListedObject]) -> Copied:
    async for state in copies.copy(iter(objects)):
        assert state.looked_at <= len(objects)
    return copies.copied


async def test_what_is_there_is_not_copied_again(source: ObjectStore, target: ObjectStore) -> None:
    objects = await filled(source, [SMALL, LARGE])
    first = ObjectCopies(source, target)
    assert await first.absent_bytes(iter(objects)) == len(SMALL) + len(LARGE)
    assert (await copied(first, objects)).count == 2
    assert [await target.get(each.key) for each in objects] == [SMALL, LARGE]
    again = ObjectCopies(source, target)
    assert await again.absent_bytes(iter(objects)) == 0
    found = await copied(again, objects)
    assert (found.looked_at, found.count, found.missing) == (2, 0, 0)


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
async def test_what_is_half_there_is_replaced(
    source: ObjectStore, target: ObjectStore, tmp_path: Path, body: bytes
) -> None:
    (one,) = await filled(source, [body])
    await filled(target, [body])
    (tmp_path / "target" / one.key).write_bytes(body[:-1])
    assert (await copied(ObjectCopies(source, target), [one])).count == 1
    assert await target.get(one.key) == body


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
@pytest.mark.parametrize("damage", [lambda body: b"x" + body[1:], lambda body: body[:-1], None])
async def test_g6_what_the_source_has_lost_is_counted_and_not_copied(
    source: ObjectStore, target: ObjectStore, tmp_path: Path, body: bytes, damage: object
) -> None:
    bad, good = await filled(source, [body, b"whole"])
    path = tmp_path / "source" / bad.key
    path.write_bytes(damage(body)) if callable(damage) else path.unlink()
    found = await copied(ObjectCopies(source, target), [bad, good])
    assert (found.count, found.missing, found.first_missing) == (1, 1, [bad.key])
    assert not await target.exists(bad.key)
    assert await target.exists(good.key)


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
async def test_a_disk_that_is_full_is_said_and_leaves_no_half_of_an_object(
    source: ObjectStore, target: ObjectStore, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    (one,) = await filled(source, [body])

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ObjectStore, "_created_at_once", lambda *_: False)
    monkeypatch.setattr(ObjectStore, "_put", full)
    monkeypatch.setattr(ObjectStore, "_flush_file", full)
    with pytest.raises(NoRoom, match="Free some space on it, and try again"):
        await copied(ObjectCopies(source, target), [one])
    assert not await target.exists(one.key)


async def test_g14_what_was_there_before_is_made_durable_if_its_copy_was_interrupted(
    source: ObjectStore, target: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    there, new = await filled(source, [SMALL, b"new"])
    await filled(target, [SMALL])
    flush, flushed = ObjectStore.flush, list[str]()

    async def noted(store: ObjectStore, keys: Collection[str]) -> frozenset[str]:
        flushed.extend(keys)
        return await flush(store, keys)

    monkeypatch.setattr(ObjectStore, "flush", noted)
    await copied(ObjectCopies(source, target, flush_all=True), [there, new])
    assert sorted(flushed) == sorted([there.key, new.key])
    flushed.clear()
    await copied(ObjectCopies(source, target), [there, new])
    assert flushed == []


async def test_a_good_copy_outlives_the_damage_of_its_original(
    source: ObjectStore, target: ObjectStore, tmp_path: Path
) -> None:
    (one,) = await filled(source, [SMALL])
    await copied(ObjectCopies(source, target), [one])
    (tmp_path / "source" / one.key).write_bytes(b"x" * len(SMALL))
    assert (await copied(ObjectCopies(source, target), [one])).missing == 0
    assert await target.get(one.key) == SMALL


async def test_files_of_exports_have_their_hash_in_the_list(
    source: ObjectStore, target: ObjectStore
) -> None:
    await source.put_as("exports/task/nike.csv", b"url,brand", "text/csv")
    sha256 = hashlib.sha256(b"url,brand").hexdigest()
    one = ListedObject("exports/task/nike.csv", 9, sha256)
    other = ListedObject("exports/task/nike.csv", 9, "0" * 64)
    assert (await copied(ObjectCopies(source, target), [other])).missing == 1
    assert not await target.exists(one.key)
    assert (await copied(ObjectCopies(source, target), [one])).count == 1
    assert await target.find(one.key) == b"url,brand"


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
async def test_files_of_exports_of_earlier_releases_have_none(
    source: ObjectStore, target: ObjectStore, body: bytes
) -> None:
    await source.put_as("exports/task/nike.csv", body, "text/csv")
    one = ListedObject("exports/task/nike.csv", len(body), "")
    assert (await copied(ObjectCopies(source, target), [one])).count == 1
    assert await target.find(one.key) == body
