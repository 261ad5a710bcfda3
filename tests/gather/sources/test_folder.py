"""The source ``folder``: in one order, within bounds, never out of it, nothing in silence."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import SourceRefused
from triptych.gather import folder_walk, source_folders
from triptych.gather.folder_walk import FolderWalk
from triptych.gather.object_url import parse_object_url
from triptych.gather.phase import new_item
from triptych.gather.source import Row
from triptych.gather.source_check import check_source
from triptych.gather.source_reach import SourceReach, reach_of
from triptych.gather.source_registry import SourceRegistry
from triptych.gather.source_type import SourceContext
from triptych.gather.sources import folder
from triptych.gather.sources.folder import FOLDER
from triptych.settings.source_text import read_source
from triptych.testing.collect import collect, opened

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the kernel does not tell where an open file is"
)
ODD = ("a b.jpg", "100%.jpg", "a%20b.jpg", "#1?.jpg", "ü.jpg", "new\nline.jpg", "\udcff.jpg", "~")


def write(root: Path, *names: str, body: bytes = b"x") -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


async def rows(place: Path | str, page_rows: int = 100) -> Sequence[Row]:
    async with opened(FOLDER, str(place), page_rows=page_rows) as source:
        return (await collect(source)).rows


async def read_within(place: Path | str, within: SourceReach, brand: str = "nike") -> list[str]:
    """Return the URLs that gather would store, for somebody who may name what is listed."""
    source = FOLDER.open(str(place), SourceContext(None, None, 100, within))  # type: ignore[arg-type]
    return [row.url async for page in source.pages(brand, None) for row in page.rows if row.url]


async def test_files_have_what_their_paths_say(tmp_path: Path) -> None:
    write(tmp_path, "shoes/red/1.final.jpg", body=b"picture")
    os.utime(tmp_path / "shoes/red/1.final.jpg", (1e9, 1e9))
    assert await rows(tmp_path) == [
        Row(
            f"file://{tmp_path}/shoes/red/1.final.jpg",
            {
                "path": "shoes/red/1.final.jpg",
                "folders": ["shoes", "red"],
                "name": "1.final",
                "size_bytes": 7,
                "modified": "2001-09-09T01:46:40+00:00",
            },
            "shoes/red/1.final.jpg",
        )
    ]
    assert [row.url for row in await rows(f"file://{tmp_path}/shoes")] == [
        f"file://{tmp_path}/shoes/red/1.final.jpg"
    ]


@pytest.mark.parametrize("page_rows", [1, 3, 100])
async def test_the_order_is_the_same_from_every_cursor(tmp_path: Path, page_rows: int) -> None:
    names = ["a/1.jpg", "a/b/1.jpg", "a/b/2.jpg", "a/c.jpg", "a.jpg", "b/1.jpg", "z.jpg"]
    write(tmp_path, *names)
    assert [row.place for row in await rows(tmp_path, page_rows)] == names


async def test_what_was_added_or_removed_meanwhile_repeats_and_skips_nothing(
    tmp_path: Path,
) -> None:
    write(tmp_path, "a/1.jpg", "a/2.jpg", "a/3.jpg", "b/1.jpg", "c.jpg")
    async with opened(FOLDER, str(tmp_path), page_rows=2) as source:
        pages = source.pages("nike", None)
        cursor = (await anext(pages)).cursor
        write(tmp_path, "0.jpg", "a/25.jpg")
        (tmp_path / "a/2.jpg").unlink()
        (tmp_path / "c.jpg").unlink()
        rest = [row.place async for page in source.pages("nike", cursor) for row in page.rows]
    assert rest == ["a/25.jpg", "a/3.jpg", "b/1.jpg"]


async def test_odd_names_become_urls_that_lead_back_to_the_file(tmp_path: Path) -> None:
    write(tmp_path, *ODD)
    found = await rows(tmp_path, page_rows=2)
    assert len(found) == len(ODD)
    for row in found:
        item = new_item(row)
        assert (item.refused, item.url) == (None, row.url)
        assert Path(parse_object_url(item.url).key).read_bytes() == b"x"
        row.place.encode()


async def test_what_is_left_out_is_counted_by_its_reason(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    write(inside, "1.jpg", "sub/2.jpg", ".hidden.jpg", ".git/3.jpg", "notes.TXT")
    write(inside, "empty.jpg", body=b"")
    write(outside, "secret.jpg")
    os.mkfifo(inside / "fifo.jpg")
    (inside / "same.jpg").symlink_to("1.jpg")
    (inside / "secret.jpg").symlink_to(outside / "secret.jpg")
    (inside / "passwd.jpg").symlink_to("/etc/passwd")
    (inside / "outside").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    (inside / "nowhere.jpg").symlink_to(inside / "missing")
    async with opened(FOLDER, str(inside)) as source:
        check = await check_source(source, f"folder:{inside}", "nike")
    assert (check.items, check.rows_read, check.rows_refused) == (3, 13, 10)
    assert {one.problem: one.places for one in check.problems} == {
        "It is hidden: its name begins with a dot.": [".git", ".hidden.jpg"],
        "It is empty.": ["empty.jpg"],
        "It is neither a file nor a folder.": ["fifo.jpg"],
        "Its name ends in .txt: it is no picture.": ["notes.TXT"],
        "It is a link that leads out of the folder.": ["outside", "passwd.jpg", "secret.jpg"],
        "It is a link to a folder: it is not followed.": ["loop"],
        "It was removed while the folder was read.": ["nowhere.jpg"],
    }


def test_a_folder_that_is_exchanged_for_a_link_is_not_entered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "in/a/1.jpg", "out/secret.jpg")
    stat = os.stat

    def exchange(path: str, **options: Any) -> os.stat_result:
        found = stat(path, **options)
        if path == "a" and not (tmp_path / "in/a").is_symlink():
            (tmp_path / "in/a").rename(tmp_path / "in/.was")
            (tmp_path / "in/a").symlink_to(tmp_path / "out")
        return found

    monkeypatch.setattr("triptych.gather.folder_walk.os.stat", exchange)
    walk = FolderWalk(os.open(tmp_path / "in", os.O_RDONLY))
    found = walk.take(10)
    walk.close()
    assert [(each.parts, each.refused[:18]) for each in found if each.parts != (".was",)] == [
        (("a",), "It cannot be read ")
    ]


async def test_a_folder_that_may_not_be_read_is_a_refused_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a/1.jpg", "b/2.jpg")
    opens = os.open

    def refuse(path: str, *arguments: int, **options: int) -> int:
        if path == "a":
            raise PermissionError(13, "Permission denied")
        return opens(path, *arguments, **options)

    # Tests may run as root, who may read everything.
    monkeypatch.setattr("triptych.gather.folder_walk.os.open", refuse)
    found = await rows(tmp_path)
    assert [(row.place, row.refused) for row in found] == [
        ("a", "It cannot be read (Permission denied)."),
        ("b/2.jpg", ""),
    ]


async def test_bounds_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_walk, "DEPTH_MAX", 3)
    monkeypatch.setattr(folder_walk, "ENTRIES_MAX", 2)
    monkeypatch.setattr(folder, "FILES_MAX", 3)
    write(tmp_path, "a/b/c/d.jpg", "a/b/1.jpg", "many/1.jpg", "many/2.jpg", "many/3.jpg")
    assert [(row.place, row.refused) for row in await rows(tmp_path)] == [
        ("a/b/1.jpg", ""),
        ("a/b/c", "It is a folder in more than 3 others."),
        ("many", "The folder has more than 2 entries: it is not read."),
    ]
    monkeypatch.setattr(folder_walk, "ENTRIES_MAX", 9)
    for page_rows in (1, 100):
        assert [row.refused for row in await rows(tmp_path / "many", page_rows)] == ["", "", ""]
        write(tmp_path, "many/4.jpg", "many/5.jpg")
        assert [row.refused for row in await rows(tmp_path / "many", page_rows)] == [
            *("", "", "", "A source is read up to 3 files: what comes after is not read.")
        ]
        (tmp_path / "many/4.jpg").unlink()
        (tmp_path / "many/5.jpg").unlink()


async def test_what_is_no_folder_of_pictures_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "lists/a.csv")
    (tmp_path / "empty").mkdir()
    for place, why in {
        "nowhere": "There is no folder",
        "a.jpg": "is a file",
        "empty": "There is no file to acquire",
        "lists": r"no file to acquire.*a\.csv: Its name ends in \.csv",
    }.items():
        with pytest.raises(SourceRefused, match=why):
            await rows(tmp_path / place)


async def test_only_listed_folders_are_read_however_they_are_reached(tmp_path: Path) -> None:
    write(tmp_path, "listed/nike air/1.jpg", "listed/.x/1.jpg", "out/secret.jpg")
    (tmp_path / "listed/linked").symlink_to(tmp_path / "out")
    within = reach_of((tmp_path / "listed",), (), own=None, own_web=False)
    registry = SourceRegistry.discover()
    assert await read_within(f"{tmp_path}/listed/{{brand}}", within, "nike air") == [
        f"file://{tmp_path}/listed/nike%20air/1.jpg"
    ]
    for place in (f"{tmp_path}/out", f"{tmp_path}/listed2", "/etc", "file:///etc"):
        assert registry.refusal(f"folder:{place}", within) is not None
        with pytest.raises(SourceRefused, match="TRIPTYCH_SOURCE_FOLDERS"):
            await read_within(place, within)
    with pytest.raises(SourceRefused, match="is not in a listed folder"):
        await read_within(f"{tmp_path}/listed/linked", within)


async def test_every_descriptor_is_closed_when_reading_stops(tmp_path: Path) -> None:
    write(tmp_path, *(f"a/b/{n}.jpg" for n in range(5)))
    before = sorted(source_folders._DESCRIPTORS.iterdir())
    for taken in (1, 2):
        async with opened(FOLDER, str(tmp_path), page_rows=1) as source:
            pages = source.pages("nike", None)
            for _ in range(taken):
                await anext(pages)
            await pages.aclose()  # type: ignore[attr-defined]
    FolderWalk(os.open(tmp_path, os.O_RDONLY)).close()
    assert sorted(source_folders._DESCRIPTORS.iterdir()) == before


@pytest.mark.parametrize(
    "place", ["pics", "~/pics", "/a/../b", "s3://a/b", "https://a/b", "file://h/a"]
)
def test_a_place_that_is_none_is_refused(place: str) -> None:
    with pytest.raises(ValueError, match=r"\.$"):
        FOLDER.check(place)


def test_a_folder_of_this_machine_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pics").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_source("folder:pics").spec == f"folder:{tmp_path}/pics"
    assert read_source("folder:elsewhere").spec == "folder:elsewhere"
