"""Excel workbooks."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook

from triptych.errors import SourceRefused
from triptych.gather.lists.bounds import PACKED_MAX_BYTES, expanded_max_bytes
from triptych.gather.lists.cells import json_value
from triptych.gather.lists.delimited import HEADER_LINES
from triptych.gather.lists.record import (
    NAMES_SHOWN,
    BadRecord,
    IsUsable,
    ListFormat,
    OpenFile,
    Record,
    check_columns,
)

UNPACKED_MAX_BYTES = 1024 * 1024 * 1024
"""A sheet is held in memory; Excel's own limit of 1,048,576 rows of six cells takes half of it."""


class WorkbookReader:
    """The first sheet of a workbook that has a column with URLs.

    The one format that is not streamed: a workbook has its rows and its texts in different places.
    """

    def __init__(self, opened: OpenFile, is_usable: IsUsable) -> None:
        """Find the sheet and its header.

        Raises:
            SourceRefused: it cannot be read, is too large, or has no column with URLs.
        """
        _check_size(opened)
        try:
            with opened() as file:
                book = CalamineWorkbook.from_filelike(file)
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
        check_columns(self._names)
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


def _check_size(opened: OpenFile) -> None:
    """Refuse a workbook that is too large, or says that it will be, before it is read."""
    with opened() as file:
        packed = file.seek(0, os.SEEK_END)
        size = packed
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as archive:
                size = sum(member.file_size for member in archive.infolist())
    allowed = min(UNPACKED_MAX_BYTES, expanded_max_bytes(packed))
    if packed > PACKED_MAX_BYTES or size > allowed:
        raise SourceRefused(
            f"The workbook has {packed} bytes, and {size} unpacked; {PACKED_MAX_BYTES} are read, "
            f"and {allowed} unpacked.",
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
