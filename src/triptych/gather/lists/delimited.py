"""CSV, TSV and their kin, and bare lists of URLs.

RFC 4180 as people write it: any of four delimiters, lines before the header, cells that are
missing, quotes that are never closed.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import IO

from triptych.errors import SourceRefused
from triptych.gather.lists.bounds import TEXT_MAX_BYTES
from triptych.gather.lists.record import (
    BadRecord,
    IsUsable,
    ListFormat,
    Record,
    check_columns,
    no_urls,
)
from triptych.gather.lists.text_encoding import TextEncoding

DELIMITERS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
HEADER_LINES = 20
"""The header is among the first lines that are not blank: reports have a title above it."""
RECORD_MAX_CHARS = TEXT_MAX_BYTES
"""Characters of the lines that one record may take."""
REREAD_MAX_CHARS = 16 * TEXT_MAX_BYTES
"""Characters that may be read again because a quote before them is never closed; besides
`REREAD_SHARE` times those that were read."""
REREAD_SHARE = 4
URL_COLUMN = "url"
"""The name of the column in a list without a header."""

_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)
"""Excel's first line."""
_URL = re.compile(r"(?:https?:)?//\S", re.IGNORECASE)
_BLANKS = "\ufeff\u200b\u00a0 \t\r\n"

Numbered = tuple[int, str]


@dataclass(frozen=True, slots=True)
class _Layout:
    """Where a text's records begin and how they are split."""

    names: Sequence[str]
    delimiter: str | None
    """None if a line is one cell."""
    first_line: int
    """Number of the first line that is a record, or the first after the header."""
    notes: tuple[str, ...] = ()
    spaced: bool = False
    """Whether a space follows each delimiter: then it is no part of a cell."""


class DelimitedReader:
    """A text with one record a line, or more lines where a cell is quoted."""

    def __init__(
        self,
        opened: Callable[[], IO[bytes]],
        encoding: TextEncoding,
        is_usable: IsUsable,
    ) -> None:
        """Find the header and the delimiter: the one with which the header ``is_usable``.

        Raises:
            SourceRefused: there is none.
        """
        csv.field_size_limit(TEXT_MAX_BYTES)
        self._opened = opened
        self._encoding = encoding
        with self._text() as text:
            head = list(islice(_numbered(text), HEADER_LINES * 2))
        self._layout = _find_layout(head, is_usable)
        delimiter = self._layout.delimiter
        check_columns(self._layout.names)
        kind = "List of lines" if delimiter is None else "TSV" if delimiter == "\t" else "CSV"
        self._format = ListFormat(
            kind,
            self._layout.names,
            encoding=encoding.name,
            delimiter=DELIMITERS.get(delimiter) if delimiter else None,
            notes=(*encoding.notes, *self._layout.notes),
        )

    @property
    def format(self) -> ListFormat:
        """What the text was found to be."""
        return self._format

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """See `ListReader.records`."""
        return islice(self._all(), offset, None)

    def _text(self) -> io.TextIOWrapper:
        return io.TextIOWrapper(self._opened(), self._encoding.name, newline="")

    def _all(self) -> Iterator[Record | BadRecord]:
        with self._text() as text:
            lines = islice(_numbered(text), self._layout.first_line - 1, None)
            if self._layout.delimiter is None:
                yield from self._lines(lines)
            else:
                yield from _Cells(self._layout, self._layout.delimiter, lines)

    def _lines(self, lines: Iterator[Numbered]) -> Iterator[Record | BadRecord]:
        (name,) = self._layout.names
        for number, line in lines:
            text = line.strip(_BLANKS)
            if len(line) > TEXT_MAX_BYTES:
                yield _too_long(number)
            elif text:
                yield Record(f"line {number}", {name: _unquoted(text)})


class _Cells:
    """Splits lines into records, and goes on with the next line after one that is none."""

    def __init__(self, layout: _Layout, delimiter: str, lines: Iterator[Numbered]) -> None:
        self._names = layout.names
        self._spaced = layout.spaced
        self._delimiter = delimiter
        self._lines = lines
        self._again: deque[Numbered] = deque()
        """Lines that were taken for a part of a record that is none."""
        self._taken: list[Numbered] = []
        """The lines of the present record."""
        self._end = False
        self._read = self._reread = 0
        """Characters."""

    def __iter__(self) -> Iterator[Record | BadRecord]:
        while not self._end:
            reader = self._reader(self._supply())
            try:
                while True:
                    self._taken.clear()
                    cells = next(reader, None)
                    if cells is None:
                        self._end = True
                        break
                    if len(self._taken) > 1 and self._swallowed():
                        yield self._never_closed()
                        break
                    if "".join(cells).strip():
                        yield self._record(cells)
            except csv.Error as error:
                yield self._failed(error)

    def _reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        return csv.reader(
            lines, delimiter=self._delimiter, strict=True, skipinitialspace=self._spaced
        )

    def _supply(self) -> Iterator[str]:
        taken = 0
        while True:
            if self._again:
                following = self._again.popleft()
            elif (new := next(self._lines, None)) is not None:
                following = new
                self._read += len(new[1])
            else:
                return
            if not self._taken:
                taken = 0
            taken += len(following[1])
            self._taken.append(following)
            if taken > RECORD_MAX_CHARS:
                raise csv.Error("unexpected end of data")
            yield following[1]

    def _record(self, cells: list[str]) -> Record | BadRecord:
        place = f"line {self._taken[0][0]}"
        while len(cells) > len(self._names) and not cells[-1].strip():
            cells.pop()
        if len(cells) > len(self._names):
            return BadRecord(
                place,
                f"It has {len(cells)} cells, and the header {len(self._names)}. "
                f"Quote cells with a {DELIMITERS[self._delimiter]} in them.",
            )
        return Record(place, dict(zip(self._names, cells, strict=False)))

    def _swallowed(self) -> bool:
        """Return whether a quoted cell holds a line that is a record by itself, with a URL.

        Then its quote was opened by mistake, such as one for inches, and a later one closed it.
        """
        return any(self._is_record(line) for _, line in self._taken[1:])

    def _is_record(self, line: str) -> bool:
        try:
            cells = next(self._reader(iter([line])), [])
        except csv.Error:
            return False
        return len(cells) == len(self._names) and any(_URL.match(cell.strip()) for cell in cells)

    def _failed(self, error: csv.Error) -> BadRecord:
        """Give up the first line of what could not be split, and try the others again."""
        if len(self._taken) == 1 and len(self._taken[0][1]) > TEXT_MAX_BYTES:
            return _too_long(self._taken[0][0])
        if len(self._taken) > 1 or "end of data" in str(error) or "field limit" in str(error):
            return self._never_closed()
        number, _ = self._taken[0]
        return BadRecord(
            f"line {number}",
            "There is text after a closing quote. Write a quote within a quoted cell twice.",
        )

    def _never_closed(self) -> BadRecord:
        (number, line), *others = self._taken
        self._again.extendleft(reversed(others))
        self._reread += sum(len(text) for _, text in others)
        if self._reread > REREAD_MAX_CHARS + REREAD_SHARE * self._read:
            raise SourceRefused(
                f"Too many quotes are never closed; line {number} has one.",
                remedy="Write a quote within a cell twice, and the cell in quotes.",
            )
        column = line.find('"') + 1
        return BadRecord(
            f"line {number}",
            f"A quote that opens in column {column} is not closed in its cell. "
            "Write a quote within a cell twice, and the cell in quotes.",
        )


def _numbered(text: io.TextIOWrapper) -> Iterator[Numbered]:
    """Yield lines; of one that is longer than `TEXT_MAX_BYTES`, one character more than that."""
    number = 0
    while line := text.readline(TEXT_MAX_BYTES + 1):
        number += 1
        while not line.endswith(("\n", "\r")) and (rest := text.readline(TEXT_MAX_BYTES)):
            if rest.endswith(("\n", "\r")):
                break
        yield number, line


def _too_long(number: int) -> BadRecord:
    return BadRecord(f"line {number}", f"It is longer than {TEXT_MAX_BYTES} characters.")


def _find_layout(head: Sequence[Numbered], is_usable: IsUsable) -> _Layout:
    lines = [(number, line) for number, line in head if line.strip(_BLANKS)][:HEADER_LINES]
    given = _SEP.fullmatch(lines[0][1].strip(_BLANKS)) if lines else None
    if given and given[1] in DELIMITERS:
        lines = lines[1:]
    delimiters = [given[1]] if given and given[1] in DELIMITERS else list(DELIMITERS)
    for place, (number, line) in enumerate(lines):
        if _URL.match(line.strip(_BLANKS)):
            break
        found = _header(line, delimiters, is_usable)
        if found is not None:
            notes = [f"Lines before the header that were passed over: {place}."] if place else []
            return replace(found, first_line=number + 1, notes=(*found.notes, *notes))
    if lines and _URL.match(lines[0][1].strip(_BLANKS)):
        note = "It has no header; every line is a URL."
        return _Layout([URL_COLUMN], None, lines[0][0], (note,))
    raise _no_header(lines, delimiters)


def _header(line: str, delimiters: Sequence[str], is_usable: IsUsable) -> _Layout | None:
    """Return the layout with the most columns of those in which the line is a usable header."""
    best: _Layout | None = None
    for delimiter in delimiters:
        names = _names(line, delimiter)
        if is_usable(names) and (best is None or len(names) > len(best.names)):
            unique = _unique(names)
            notes = (
                () if unique == names else ("Columns without a name of their own were numbered.",)
            )
            single = len(names) == 1 and delimiter not in line
            spaced = not single and f"{delimiter} " in line
            best = _Layout(unique, None if single else delimiter, 0, notes, spaced)
    return best


def _names(line: str, delimiter: str) -> list[str]:
    try:
        cells = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []
    names = [cell.strip(_BLANKS) for cell in cells]
    while names and not names[-1]:
        names.pop()
    return names


def _unique(names: Sequence[str]) -> list[str]:
    """Return names of which none is empty and none occurs twice."""
    found: list[str] = []
    for number, name in enumerate(names, start=1):
        plain = name or f"column {number}"
        found.append(plain if plain not in found else f"{plain} ({number})")
    return found


def _unquoted(text: str) -> str:
    inside = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if inside else text


def _no_header(lines: Sequence[Numbered], delimiters: Sequence[str]) -> SourceRefused:
    if not lines:
        return SourceRefused("The list is empty.", remedy="Give a list with a header and rows.")
    header, *others = (line for _, line in lines)
    found = [(_names(header, delimiter), delimiter) for delimiter in delimiters]
    names, delimiter = max(found, key=lambda each: len(each[0]))
    # The first line of a file that is no table may be a secret.
    is_table = len(names) > 1 and any(len(_names(each, delimiter)) == len(names) for each in others)
    return no_urls(names if is_table else ())
