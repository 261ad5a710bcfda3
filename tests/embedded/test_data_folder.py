"""One owner a data folder, named to whoever comes second, gone with its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triptych.embedded.data_folder import DataFolder
from triptych.embedded.errors import DataFolderInUse, DataFolderUnusable

pytestmark = pytest.mark.integration

HOLDER = """
import os, signal, subprocess, sys
from pathlib import Path
from triptych.embedded.data_folder import DataFolder
DataFolder(Path(sys.argv[1])).acquire()
started = subprocess.Popen(["sleep", "600"], close_fds=False, stdout=subprocess.DEVNULL)
forked = os.fork()
if forked == 0:
    signal.pause()
print(started.pid, forked, flush=True)
signal.pause()
"""
"""Owns the folder, with a started program and a forked child beside it."""


@contextmanager
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        children = [int(word) for word in process.stdout.readline().split()]
        assert len(children) == 2
        try:
            yield process
            for child in children:
                os.kill(child, 0)  # they were alive to the end
        finally:
            process.kill()
            for child in children:
                os.kill(child, signal.SIGKILL)


def owner_pid(folder: DataFolder) -> int | None:
    owner = folder.owner()
    return None if owner is None else owner.pid


def test_the_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "a" / "b")

    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.postgres == folder.path / "postgres"


def test_a_path_that_cannot_be_a_folder_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(
        DataFolderUnusable, match=r"^The data folder .* cannot be created .* Name a"
    ):
        DataFolder(tmp_path / "file")


def test_a_second_process_is_refused_with_the_owners_pid(tmp_path: Path) -> None:
    with holder(tmp_path) as owner:
        folder = DataFolder(tmp_path)
        assert owner_pid(folder) == owner.pid

        with pytest.raises(DataFolderInUse) as refused:
            folder.acquire()

    assert f"process {owner.pid} (" in str(refused.value)
    assert "triptych submit" in str(refused.value)
    assert "--data" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_second_object_of_the_same_process_is_refused_too(tmp_path: Path) -> None:
    with DataFolder(tmp_path).lock(), pytest.raises(DataFolderInUse, match=str(os.getpid())):
        DataFolder(tmp_path).acquire()


def test_a_killed_owner_releases_the_lock_while_its_children_live(tmp_path: Path) -> None:
    with holder(tmp_path) as owner:
        owner.kill()
        owner.wait()

        folder = DataFolder(tmp_path)
        assert folder.owner() is None
        with folder.lock():
            assert owner_pid(DataFolder(tmp_path)) == os.getpid()


def test_looking_for_an_owner_neither_takes_nor_makes_the_lock(tmp_path: Path) -> None:
    looking = DataFolder(tmp_path)
    assert looking.owner() is None
    assert list(tmp_path.iterdir()) == []

    with DataFolder(tmp_path).lock():
        assert owner_pid(looking) == os.getpid()
    assert looking.owner() is None
    looking.acquire()
    looking.release()
    looking.release()
