"""Files that are created in the calling thread: whole or not at all, and never over another."""

import os
import time
from pathlib import Path

import pytest

from triptych.runtime import file_creation
from triptych.runtime.file_creation import SLOW_S, SMALL_BYTES, FileCreation

BODY = b"picture" * 1000


def names(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_file_is_created_whole_and_alone(tmp_path: Path) -> None:
    (tmp_path / "ab").mkdir()
    assert FileCreation(tmp_path).create_at_once("ab/cd", BODY)
    assert (tmp_path / "ab/cd").read_bytes() == BODY
    assert names(tmp_path) == ["ab/cd"]


def test_its_mode_is_that_of_other_files(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(BODY)
    FileCreation(tmp_path).create("one", BODY)
    assert (tmp_path / "one").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_name_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"first")
    assert not FileCreation(tmp_path).create("one", BODY)
    assert (tmp_path / "one").read_bytes() == b"first"


def test_a_missing_folder_is_left_to_others(tmp_path: Path) -> None:
    assert not FileCreation(tmp_path).create("ab/cd", BODY)
    assert names(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "write", lambda descriptor, body: len(body) - 1)
    assert not FileCreation(tmp_path).create("one", BODY)
    assert names(tmp_path) == []


def test_large_bodies_are_not_written_at_once(tmp_path: Path) -> None:
    creation = FileCreation(tmp_path)
    assert not creation.create_at_once("one", bytes(SMALL_BYTES + 1))
    assert creation.create_at_once("one", bytes(SMALL_BYTES))


def test_a_slow_disk_is_left_to_threads_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    took = [0.0]

    def tick() -> float:
        now[0] += took[0]
        return now[0]

    monkeypatch.setattr(time, "monotonic", tick)
    creation = FileCreation(tmp_path)
    assert creation.create_at_once("quick", BODY)
    took[0] = 100 * SLOW_S
    assert creation.create_at_once("slow", BODY)
    took[0] = 0.0
    assert not creation.create_at_once("after", BODY)
    now[0] += file_creation.APART_S + 1
    assert creation.create_at_once("after", BODY)


def test_a_file_system_without_unnamed_files_is_left_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_creation, "_UNNAMED", 0)
    assert not FileCreation(tmp_path).create("one", BODY)
    assert names(tmp_path) == []
