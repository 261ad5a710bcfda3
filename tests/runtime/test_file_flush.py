"""Files are flushed together or one by one, and what the disk does not take is said."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from triptych.runtime import file_flush
from triptych.runtime.file_flush import FileFlush, flush_folder

NAMES = ["a/1", "a/2", "b/c/3", "4"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in NAMES:
        path = tmp_path / "store" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "store"


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that cannot be flushed as a whole."""
    monkeypatch.setattr(file_flush, "WHOLE", frozenset())


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was flushed by itself: paths of files and folders."""
    paths: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        paths.append(opened_as(descriptor))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


def opened_as(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


def opened_paths() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # Of the listing itself.
            found.append(str(entry.readlink()))
    return found


def refusing(name: str, number: int) -> Callable[[int], None]:
    """Return an `os.fsync` that fails for paths of that name."""
    fsync = os.fsync

    def refused(descriptor: int) -> None:
        if Path(opened_as(descriptor)).name == name:
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    return refused


@pytest.mark.usefixtures("one_by_one")
def test_one_by_one_each_file_and_each_folder_up_to_the_parent_is_flushed(
    root: Path, synced: list[str]
) -> None:
    assert FileFlush(root).flush(NAMES) == frozenset()
    folders = {root / "a", root / "b", root / "b" / "c", root, root.parent}
    assert sorted(synced) == sorted(map(str, [*(root / name for name in NAMES), *folders]))


def test_together_no_file_is_flushed_by_itself(
    root: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = FileFlush(root)
    if not flush._flushes_whole:
        pytest.skip("this file system cannot be flushed as a whole")
    assert flush.flush(NAMES) == frozenset()
    assert synced == []
    monkeypatch.setattr(file_flush, "SLOW_S", 0.0)
    assert flush.flush(NAMES) == frozenset()
    assert synced == [], "that one was slow"
    assert flush.flush(NAMES) == frozenset()
    assert str(root / NAMES[0]) in synced


def test_where_the_whole_cannot_be_flushed_the_files_are(
    root: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing:
        @staticmethod
        def syncfs(_descriptor: int) -> int:
            return -1

    flush = FileFlush(root)
    monkeypatch.setattr(file_flush, "_LIBC", Failing())
    assert flush.flush(NAMES) == frozenset()
    assert set(map(str, (root / name for name in NAMES))) <= set(synced)


def test_files_of_another_device_are_flushed_by_themselves(root: Path, synced: list[str]) -> None:
    flush = FileFlush(root)
    flush._device += 1
    assert flush.flush(NAMES) == frozenset()
    assert str(root / NAMES[0]) in synced


@pytest.mark.parametrize("whole", [True, False])
def test_a_missing_file_is_not_durable_and_the_others_are(
    root: Path, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not whole:
        monkeypatch.setattr(file_flush, "WHOLE", frozenset())
    assert FileFlush(root).flush([*NAMES, "a/gone"]) == {"a/gone"}
    assert FileFlush(root).flush([]) == frozenset()


@pytest.mark.usefixtures("one_by_one")
def test_a_file_that_the_disk_does_not_take_is_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux says so once: the next fsync of the same bytes succeeds, and they are lost."""
    monkeypatch.setattr(os, "fsync", refusing("2", errno.EIO))
    assert FileFlush(root).flush(NAMES) == {"a/2"}
    assert not (root / "a/2").exists()
    assert (root / "a/1").exists()


@pytest.mark.usefixtures("one_by_one")
def test_a_folder_that_cannot_be_flushed_leaves_nothing_durable(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing("c", errno.EIO))
    with pytest.raises(OSError, match="Input/output"):
        FileFlush(root).flush(NAMES)
    assert (root / "b/c/3").exists()


def test_a_file_system_that_flushes_no_folders_is_not_at_fault(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", refusing("a", errno.EINVAL))
    flush_folder(root / "a")


@pytest.mark.usefixtures("one_by_one")
def test_g8_few_files_are_open_at_a_time(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_flush, "OPEN_MAX", 3)
    names = [f"a/more-{number}" for number in range(20)]
    for name in names:
        (root / name).write_text(name)
    most, fsync = 0, os.fsync

    def counting(descriptor: int) -> None:
        nonlocal most
        most = max(most, sum("more-" in path for path in opened_paths()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counting)
    assert FileFlush(root).flush(names) == frozenset()
    assert most == 3
