"""The source ``folder``: the pictures of a folder and of all folders in it.

Each file is an item with a ``file://`` URL, which the workers of acquire open themselves: they see
the same files at the same path.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from urllib.parse import quote, unquote_to_bytes

import msgspec
from typing_extensions import override

from triptych.errors import SourceRefused
from triptych.gather.file_names import FILES_MAX, after_the_last, named
from triptych.gather.folder_walk import FolderWalk, Found, Parts
from triptych.gather.object_places import BRAND, folder_path
from triptych.gather.object_url import ObjectUrl
from triptych.gather.source import Page, Row, Source
from triptych.gather.source_cursor import read_cursor, write_cursor
from triptych.gather.source_type import SourceContext, SourceType
from triptych.settings.source_text import FILE_SCHEME

REMEDY = "Check the path after folder:."


class _Progress(msgspec.Struct):
    """How far a folder was read: its cursor."""

    after: str = ""
    """The path in the folder of what was returned last, percent-encoded."""
    files: int = 0
    """Files that were returned to be acquired."""


class FolderSource(Source):
    """Lists the files of a folder in the order of their names, folder by folder.

    A cursor is the path of the file that was listed last, so a run that goes on after a crash
    lists no file again, also if files were added or removed meanwhile.
    """

    def __init__(self, place: str, context: SourceContext) -> None:
        self._place = place
        self._context = context

    @override
    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        progress = read_cursor(_Progress, cursor)
        path = _path(self._place, brand)
        walk = FolderWalk(await asyncio.to_thread(self._open, path), _parts(progress.after))
        try:
            more = True
            while more:
                found = await self._next(walk, path)
                more = len(found) == self._context.page_rows
                rows, more = _rows(path, found, progress, more)
                if not more and not progress.files:
                    _refuse_none(path, rows)
                yield Page(rows, write_cursor(progress) if more else None)
        finally:
            # A walk that is under way in its thread ends with its part.
            await asyncio.shield(asyncio.to_thread(walk.close))

    def _open(self, path: str) -> int:
        try:
            found = self._context.reach.folders.open_one(path)
        except FileNotFoundError as error:
            raise SourceRefused(f"There is no folder {path}.", remedy=REMEDY) from error
        except OSError as error:
            raise SourceRefused(
                f"{path} cannot be read ({error.strerror}).",
                remedy="Let the user that gather runs as read it.",
            ) from error
        if not stat.S_ISDIR(os.fstat(found).st_mode):
            os.close(found)
            raise SourceRefused(
                f"{path} is a file.", remedy="Name the folder that it is in, or write manifest:."
            )
        return found

    async def _next(self, walk: FolderWalk, path: str) -> Sequence[Found]:
        try:
            return await asyncio.to_thread(walk.take, self._context.page_rows)
        except OSError as error:
            raise SourceRefused(f"{path} cannot be read ({error.strerror}).") from error


def _rows(
    path: str, found: Sequence[Found], progress: _Progress, more: bool
) -> tuple[Sequence[Row], bool]:
    """Return what was found as rows, and whether to read on."""
    rows: list[Row] = []
    for each in found:
        if not each.refused and progress.files >= FILES_MAX:
            return [
                *rows,
                Row("", {}, _shown(each.parts), refused=after_the_last(FILES_MAX)),
            ], False
        progress.files += not each.refused
        progress.after = quote(os.fsencode("/".join(each.parts)))
        rows.append(_row(path, each))
    return rows, more


def _row(path: str, found: Found) -> Row:
    place = _shown(found.parts)
    if found.refused:
        return Row("", {}, place, refused=found.refused)
    url = ObjectUrl(FILE_SCHEME, "", f"{path.rstrip('/')}/{'/'.join(found.parts)}")
    modified = datetime.fromtimestamp(found.modified_s, UTC).isoformat(timespec="seconds")
    return Row(str(url), {**named(place), "size_bytes": found.size, "modified": modified}, place)


def _shown(parts: Parts) -> str:
    """Return a path as text that every store can hold: names of files may be any bytes."""
    return os.fsencode("/".join(parts)).decode(errors="replace")


def _parts(after: str) -> Parts:
    return tuple(os.fsdecode(unquote_to_bytes(after)).split("/")) if after else ()


def _refuse_none(path: str, rows: Sequence[Row]) -> None:
    first = f" The first of what is left out: {rows[0].place}: {rows[0].refused}" if rows else ""
    raise SourceRefused(f"There is no file to acquire in {path}.{first}", remedy=REMEDY)


def _path(place: str, brand: str) -> str:
    try:
        return folder_path(place, brand)
    except ValueError as error:
        raise SourceRefused(str(error), remedy=REMEDY) from error


def _check(place: str) -> None:
    folder_path(place, "brand")


def _location(place: str) -> str:
    return place.replace(BRAND, "brand")


FOLDER = SourceType(
    scheme="folder",
    title="A folder of pictures",
    description="The pictures in a folder of the server and in all folders below it.",
    place="PATH",
    example="/srv/pictures",
    open=FolderSource,
    check=_check,
    location=_location,
)
