"""Files are read below listed folders only, however they are named, whatever changes meanwhile."""

from __future__ import annotations

import os
import resource
from contextlib import ExitStack
from pathlib import Path

import pytest

from triptych.errors import SourceRefused, SourceUnavailable
from triptych.gather import source_folders
from triptych.gather.source_folders import ANY_FOLDER, SourceFolders

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the kernel does not tell where an open file is"
)

SECRET = "AKIAVERYSECRET"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    folder = tmp_path / "listed"
    folder.mkdir()
    (folder / "a.csv").write_text("a")
    (folder / "b.csv").write_text("b")
    (folder / "_SUCCESS").write_text("")
    (tmp_path / "secret").write_text(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.csv").write_text(SECRET)
    return folder


def read(folders: SourceFolders, path: Path | str) -> dict[str, str]:
    with folders.opened(str(path)) as parts:
        return {name: each.read_text() for name, each in parts}


def test_files_folders_and_patterns_below_a_listed_folder_are_read(listed: Path) -> None:
    for folders in (SourceFolders([listed]), SourceFolders([listed.parent]), ANY_FOLDER):
        assert read(folders, listed / "a.csv") == {"a.csv": "a"}
        assert read(folders, listed) == {"a.csv": "a", "b.csv": "b"}
        assert read(folders, f"{listed}/[b]*.csv") == {"b.csv": "b"}
    (listed / "same.csv").symlink_to(listed / "a.csv")
    assert read(SourceFolders([listed]), listed / "same.csv") == {"same.csv": "a"}
    linked = listed.parent / "linked"
    linked.symlink_to(listed)
    assert read(SourceFolders([linked]), linked / "a.csv") == {"a.csv": "a"}
    assert read(SourceFolders([Path("/")]), listed / "a.csv") == {"a.csv": "a"}


@pytest.mark.parametrize(
    "named",
    [
        "{outside}/a.csv",
        "{listed}/../secret",
        "{listed}/../outside",
        "{listed}x",
        "{listed}2/a.csv",
        "a.csv",
        "~/a.csv",
        "",
        ".",
        "/etc/passwd",
        "/proc/self/environ",
        "{listed}/to_file",
        "{listed}/to_folder",
        "{listed}/to_folder/a.csv",
        "{listed}/to_folder/*.csv",
        "{listed}/to_*",
        "{listed}/to_proc",
        "{listed}/to_itself",
        "{listed}/fifo",
    ],
)
def test_nothing_else_is_and_nothing_of_it_is_told(listed: Path, named: str) -> None:
    outside = listed.parent / "outside"
    (listed.parent / "listed2").mkdir()
    (listed.parent / "listed2" / "a.csv").write_text(SECRET)
    (listed.parent / "listedx").write_text(SECRET)
    (listed / "to_file").symlink_to(listed.parent / "secret")
    (listed / "to_folder").symlink_to(outside)
    (listed / "to_proc").symlink_to("/proc/self/environ")
    (listed / "to_itself").symlink_to(listed / "to_itself")
    os.mkfifo(listed / "fifo")
    path = named.format(listed=listed, outside=outside)
    with pytest.raises(SourceRefused) as refused:
        read(SourceFolders([listed]), path)
    assert SECRET not in str(refused.value)


def test_without_a_listed_folder_no_file_is_read(listed: Path) -> None:
    with pytest.raises(SourceRefused, match="TRIPTYCH_SOURCE_FOLDERS"):
        read(SourceFolders([]), listed / "a.csv")


def test_what_is_not_there_is_said_of_listed_folders_alone(listed: Path) -> None:
    folders = SourceFolders([listed])
    with pytest.raises(SourceRefused, match="There is no file"):
        read(folders, listed / "c.csv")
    with pytest.raises(SourceRefused, match="0 files"):
        read(folders, listed / "*.parquet")
    for name in ("secret", "nothing"):
        with pytest.raises(SourceRefused, match="is not in a listed folder"):
            read(folders, listed.parent / name)


def test_a_file_that_is_exchanged_after_it_was_opened_stays_what_it_was(listed: Path) -> None:
    with SourceFolders([listed]).opened(str(listed / "a.csv")) as parts:
        (listed / "a.csv").unlink()
        (listed / "a.csv").symlink_to(listed.parent / "secret")
        assert [each.read_text() for _, each in parts] == ["a"]


def test_a_file_that_is_exchanged_before_it_is_opened_is_refused(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = SourceFolders.lists

    def exchange(self: SourceFolders, path: str) -> bool:
        found = lists(self, path)
        (listed / "a.csv").unlink()
        (listed / "a.csv").symlink_to(listed.parent / "secret")
        return found

    monkeypatch.setattr(SourceFolders, "lists", exchange)
    with pytest.raises(SourceRefused, match="is not in a listed folder"):
        read(SourceFolders([listed]), listed / "a.csv")


def test_descriptors_are_closed_and_a_lack_of_them_passes(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = SourceFolders([listed])
    before = sorted(Path("/proc/self/fd").iterdir())
    for path in (listed, listed / "a.csv", listed / "*.csv"):
        read(folders, path)
    with ExitStack() as stack, pytest.raises(SourceRefused):
        stack.enter_context(folders.opened(str(listed / "nothing")))
    assert sorted(Path("/proc/self/fd").iterdir()) == before

    def refuse(*_: object, **__: object) -> int:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(SourceUnavailable, match="too many files open"):
        read(folders, listed)


def test_many_parts_raise_the_limit_of_descriptors(
    listed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        (listed / f"{number}.csv").write_text(str(number))
    set_to: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 4_096))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: set_to.append(limits))
    assert len(read(SourceFolders([listed]), listed)) == 52
    assert set_to == [(72, 4_096)]


def test_another_system_says_that_it_cannot(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_folders, "_LOOK", os.O_CLOEXEC)
    with pytest.raises(SourceRefused, match="needs Linux"):
        read(SourceFolders([listed]), listed / "a.csv")
