"""A destination has complete backups, and remains that nobody takes for one."""

from __future__ import annotations

import gzip
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.backups import listed, publish
from triptych.backups.backup_errors import BackupFailed, BackupUnusable, DestinationInUse
from triptych.backups.destination import Destination, find_backup
from triptych.backups.manifest import FORMAT, MANIFEST, StoredFile, check_file, read_manifest
from triptych.backups.object_list import (
    OBJECT_LIST,
    ListedObject,
    ObjectListWriter,
    listed_objects,
)

AT = datetime(2026, 11, 29, 19, 15, tzinfo=UTC)


@pytest.fixture
def destination(tmp_path: Path) -> Destination:
    return Destination(tmp_path / "backups of nike")


def test_a_backup_that_was_interrupted_is_none_and_its_remains_go(
    destination: Destination,
) -> None:
    with destination.open():
        whole = publish(destination, "1", [b"a"])
        remains = destination.begin("2")
        (remains / "database.dump").write_bytes(b"half of it")
    assert destination.folders() == [whole]
    assert find_backup(destination.path)[0] == whole
    with pytest.raises(BackupUnusable, match="no complete backup"):
        find_backup(remains)
    with destination.open():
        assert not remains.exists()
        assert destination.folders() == [whole]


def test_g14_objects_of_a_backup_that_was_interrupted_are_not_taken_for_durable(
    destination: Destination,
) -> None:
    interrupted = []
    with destination.open():
        interrupted.append(destination.interrupted)
        destination.begin("1")
    with destination.open():
        interrupted.append(destination.interrupted)
        publish(destination, "2", [b"a"])
    with destination.open():
        interrupted.append(destination.interrupted)
    assert interrupted == [False, True, False]


def test_a_folder_without_its_manifest_is_no_backup(destination: Destination) -> None:
    with destination.open():
        folder = publish(destination, "1", [b"a"])
        (folder / MANIFEST).unlink()
    with pytest.raises(BackupUnusable, match="has no complete backup"):
        find_backup(destination.path)


def test_only_its_owner_can_read_it(destination: Destination) -> None:
    with destination.open():
        folder = publish(destination, "1", [b"a"])
    modes = {path: path.stat().st_mode & 0o777 for path in (destination.path, folder)}
    assert set(modes.values()) == {0o700}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_the_newest_backup_is_the_one_that_a_destination_stands_for(
    destination: Destination,
) -> None:
    with destination.open():
        first = publish(destination, destination.free_id(AT), [b"a"])
        second = publish(destination, destination.free_id(AT), [b"b"])
    assert [each.name for each in destination.folders()] == [
        "20261129T191500Z",
        "20261129T191500Z-1",
    ]
    assert find_backup(destination.path)[0] == second
    folder, objects, manifest = find_backup(first)
    assert (folder, objects, manifest.id) == (first, destination.objects, first.name)


def test_older_backups_go_with_the_objects_that_no_other_names(destination: Destination) -> None:
    with destination.open():
        publish(destination, "1", [b"only the first", b"all"])
        publish(destination, "2", [b"second", b"all", b"two and three"])
        kept = publish(destination, "3", [b"all", b"two and three"])
        stray = destination.objects / listed(b"of a killed backup").key
        stray.parent.mkdir(exist_ok=True)
        stray.write_bytes(b"of a killed backup")
        export = destination.objects / "exports" / "task" / "nike.csv"
        export.parent.mkdir(parents=True)
        export.write_bytes(b"of a backup that is gone")
        assert destination.drop_older(1) == (2, 4)
        assert destination.drop_older(1) == (0, 0)
    assert destination.folders() == [kept]
    left = {path.read_bytes() for path in destination.objects.rglob("*") if path.is_file()}
    assert left == {b"all", b"two and three"}


def test_no_object_goes_when_the_list_of_a_kept_backup_cannot_be_read(
    destination: Destination,
) -> None:
    with destination.open():
        publish(destination, "1", [b"a"])
        kept = publish(destination, "2", [b"b"])
        (kept / OBJECT_LIST).write_bytes(b"\x1f\x8b no list")
        with pytest.raises(BackupUnusable, match="not a list of objects"):
            destination.drop_older(1)
    assert len([path for path in destination.objects.rglob("*") if path.is_file()]) == 2


def test_two_backups_do_not_write_at_the_same_time(destination: Destination) -> None:
    with (
        destination.open(),
        pytest.raises(DestinationInUse, match="Another backup"),
        Destination(destination.path).open(),
    ):
        pass


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"")
    with pytest.raises(BackupFailed, match=r"holds something else \(holiday.jpg\)"):
        Destination(tmp_path).open().__enter__()
    assert [each.name for each in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_backup_without_its_objects_says_what_to_copy(
    destination: Destination, tmp_path: Path
) -> None:
    with destination.open():
        folder = publish(destination, "1", [b"a"])
    alone = tmp_path / "elsewhere" / "backups" / "1"
    alone.parent.mkdir(parents=True)
    folder.rename(alone)
    with pytest.raises(BackupUnusable, match="Copy the whole destination"):
        find_backup(alone)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": FORMAT + 1, "rows": "of another form"}, "Upgrade Triptych"),
        ({"objects": None}, "not a manifest"),
        ({"format": "one"}, "not a manifest"),
    ],
)
def test_a_manifest_of_another_form_is_refused(
    destination: Destination, change: dict[str, object], says: str
) -> None:
    with destination.open():
        folder = publish(destination, "1", [b"a"])
    path = folder / MANIFEST
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BackupUnusable, match=says):
        read_manifest(folder)


@pytest.mark.parametrize(
    "line",
    [
        f"exports/{36 * '0'}/%2e%2e/x\t1\t" + 64 * "0",
        "../../etc/passwd\t1\t" + 64 * "0",
        "/etc/passwd\t1\t" + 64 * "0",
        f"exports/{36 * '0'}/../x\t1\t" + 64 * "0",
        f"exports/{36 * '0'}/..\t1\t" + 64 * "0",
        f"sha256/aa/{64 * 'b'}\t1\t" + 64 * "b",
        f"sha256/aa/{64 * 'a'}\t1\tno hash",
        f"sha256/aa/{64 * 'a'}\t1\t",
        f"sha256/aa/{64 * 'a'}\t-1\t" + 64 * "a",
        "one word",
    ],
)
def test_g9_a_list_that_was_edited_leads_to_no_other_file(tmp_path: Path, line: str) -> None:
    path = tmp_path / OBJECT_LIST
    path.write_bytes(gzip.compress(f"{line}\n".encode()))
    with pytest.raises(BackupUnusable, match="not a list of objects"):
        list(listed_objects(path))


def test_names_of_files_that_a_format_chose_are_kept(tmp_path: Path) -> None:
    names = [f"exports/{'0' * 36}/{name}" for name in ("a\tb\n.csv", "sub/ä %2e.tar", "..x")]
    given = [ListedObject(name, 1, "0" * 64) for name in sorted(names)]
    with ObjectListWriter(tmp_path) as writer:
        for each in given:
            writer.add(each)
    assert list(listed_objects(tmp_path / OBJECT_LIST)) == given


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BackupFailed, match=r"cannot be used \(Not a directory\)"):
        Destination(tmp_path / "file" / "backups").open().__enter__()


def test_a_file_that_was_changed_is_refused_and_leads_nowhere_else(
    destination: Destination, tmp_path: Path
) -> None:
    with destination.open():
        folder = publish(destination, "1", [b"a", b"b"])
    stored = read_manifest(folder).object_list
    path = check_file(folder, stored)
    assert [each.sha256 for each in listed_objects(path)] == sorted(
        listed(body).sha256 for body in (b"a", b"b")
    )
    outside = StoredFile(f"../../{stored.name}", stored.size_bytes, stored.sha256)
    assert check_file(folder, outside) == path
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\xff")
    with pytest.raises(BackupUnusable, match="is damaged"):
        check_file(folder, stored)
