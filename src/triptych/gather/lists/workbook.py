"""Excel workbooks."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from triptych.errors import SourceRefused
from triptych.gather.lists.delimited import HEADER_LINES
from triptych.gather.lists.parquet_file import json_value
from triptych.gather.lists.record import NAMES_SHOWN, BadRecord, IsUsable, ListFormat, Record

OLE_MAGIC = b"\xd0\xcf\x11\xe0"
"""The old format, .xls; also an encrypted workbook."""
UNPACKED_MAX_BYTES = 1024 * 1024 * 1024
"""A sheet is held in memory; Excel's own limit of 1,048,576 rows of six cells takes half of it."""


class WorkbookReader:
    """The first sheet of a workbook that has a column with URLs.

    The one format that is not streamed: a workbook has its rows and its texts in different places.
    """

    def __init__(self, path: Path, is_usable: IsUsable) -> None:
        """Find the sheet and its header.

        Raises:
            SourceRefused: it cannot be read, is too large, or has no column with URLs.
        """
        _check_size(path)
        try:
            book = CalamineWorkbook.from_path(str(path))
            found = next(
                filter(None, (_find_header(book, name, is_usable) for name in book.sheet_names)),
                None,
            )
        except (CalamineError, OSError) as error:
            raise SourceRefused(
                f"The workbook cannot be read ({error}).",
                remedy="Save it without a password, or as CSV UTF-8.",
            ) from error
        if found is None:
            raise SourceRefused(
                "No sheet of the workbook has a column of URLs.",
                remedy="Call the column url, or choose one with #url-column=NAME behind the place.",
                quoted=f"Its sheets are: {', '.join(book.sheet_names)[:NAMES_SHOWN]}.",
            )
        self._sheet, self._names, self._header_row = found
        others = [name for name in book.sheet_names if name != self._sheet.name]
        notes = [f"Read: sheet {self._sheet.name}."] if others else []
        if others:
            notes.append(f"Passed over: {', '.join(others)[:NAMES_SHOWN]}.")
        self.format = ListFormat("Excel workbook", self._names, notes=tuple(notes))

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """See `ListReader.records`."""
        return islice(self._all(), offset, None)

    def _all(self) -> Iterator[Record | BadRecord]:
        first = self._header_row + 1
        for number, cells in enumerate(islice(self._sheet.iter_rows(), first, None), first + 1):
            values = dict(zip(self._names, map(_cell, cells), strict=False))
            if any(value is not None for value in values.values()):
                yield Record(f"row {number}", values)


def _check_size(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > UNPACKED_MAX_BYTES:
        raise SourceRefused(
            f"The workbook has {size} bytes unpacked; {UNPACKED_MAX_BYTES} are read.",
            remedy="Save it as CSV UTF-8.",
        )


def _find_header(
    book: CalamineWorkbook, name: str, is_usable: IsUsable
) -> tuple[CalamineSheet, Sequence[str], int] | None:
    sheet = book.get_sheet_by_name(name)
    for number, cells in enumerate(islice(sheet.iter_rows(), HEADER_LINES)):
        names = [str(cell).strip() for cell in cells]
        if is_usable(names):
            return sheet, [each or f"column {n}" for n, each in enumerate(names, 1)], number
    return None


def _cell(value: Any) -> Any:
    """Return a cell as JSON: an empty one as null, a whole number without a fraction."""
    if value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return json_value(value)
