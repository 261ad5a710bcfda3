"""JSON: Lines, an array, or a document with an array of records in it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import IO, Any

from triptych.errors import SourceRefused
from triptych.gather.lists.bounds import TEXT_MAX_BYTES, VALUES_MAX
from triptych.gather.lists.record import BadRecord, IsUsable, ListFormat, Record
from triptych.gather.lists.text_encoding import TextEncoding
from triptych.gather.sources.json_text import count_values, read_json

URL_COLUMN = "url"
"""The name of the value in a list of plain texts."""
DOCUMENT_MAX_BYTES = 64 * 1024 * 1024
"""A document is held in memory to find its records; an array or lines are not."""
DOCUMENT_DEPTH = 4
"""Levels of a document in which its records are looked for."""
READ_CHARS = 64 * 1024
_BLANK = re.compile(r"[ \t\r\n]*")
"""Matches everywhere."""


class JsonLinesReader:
    """A JSON value on each line: https://jsonlines.org."""

    def __init__(self, opened: Callable[[], IO[bytes]], encoding: TextEncoding) -> None:
        self._opened = opened
        self._encoding = encoding.name
        self.format = ListFormat("JSON Lines", None, encoding.name, notes=encoding.notes)

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """See `ListReader.records`."""
        return islice(self._all(), offset, None)

    def _all(self) -> Iterator[Record | BadRecord]:
        with io.TextIOWrapper(self._opened(), self._encoding) as text:
            number = 0
            while line := text.readline(TEXT_MAX_BYTES):
                number += 1
                whole = line.endswith("\n") or len(line) < TEXT_MAX_BYTES
                if not whole:
                    while (rest := text.readline(TEXT_MAX_BYTES)) and not rest.endswith("\n"):
                        pass
                    yield BadRecord(f"line {number}", f"Longer than {TEXT_MAX_BYTES} characters.")
                elif plain := line.strip():
                    yield _line(plain, f"line {number}")


def _line(text: str, place: str) -> Record | BadRecord:
    try:
        return as_record(read_json(text), place)
    except ValueError as error:
        return BadRecord(place, f"Not JSON ({error}).")


class JsonArrayReader:
    """An array of records, read one by one."""

    def __init__(self, opened: Callable[[], IO[bytes]], encoding: TextEncoding) -> None:
        self._opened = opened
        self._encoding = encoding.name
        self.format = ListFormat("JSON array", None, encoding.name, notes=encoding.notes)

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """See `ListReader.records`."""
        return islice(self._all(), offset, None)

    def _all(self) -> Iterator[Record | BadRecord]:
        with io.TextIOWrapper(self._opened(), self._encoding) as text:
            for number, value in enumerate(_elements(text), start=1):
                yield as_record(value, f"item {number}")


def _elements(text: io.TextIOWrapper) -> Iterator[Any]:
    """Yield the elements of the array that a text is; holds one of them.

    Python's parser takes NaN, which other programs write.
    """
    decoder = json.JSONDecoder()
    buffer, place, expected, count = text.read(READ_CHARS), 0, "]", 0
    place = _BLANK.match(buffer).end() + 1  # type: ignore[union-attr]
    while True:
        place = _BLANK.match(buffer, place).end()  # type: ignore[union-attr]
        if count and expected == "," and buffer[place : place + 1] == ",":
            place, expected = _BLANK.match(buffer, place + 1).end(), ""  # type: ignore[union-attr]
        if buffer[place : place + 1] == "]" and expected:
            return
        try:
            value, end = decoder.raw_decode(buffer, place)
            # A number at the end of what was read may go on.
            complete = end < len(buffer) or buffer[place] in '{["'
        except RecursionError as error:
            raise SourceRefused(f"Item {count + 1} is nested too deeply.") from error
        except json.JSONDecodeError:
            complete = False
        if complete and expected != ",":
            count, expected, place = count + 1, ",", end
            yield value
            continue
        buffer, place = buffer[place:] + _more(text, len(buffer) - place, count), 0


def _more(text: io.TextIOWrapper, held: int, count: int) -> str:
    """Read on in an array of which an element is not complete yet."""
    if held > TEXT_MAX_BYTES:
        raise SourceRefused(
            f"Item {count + 1} of the array is no JSON value of at most {TEXT_MAX_BYTES} "
            "characters.",
            remedy="Check the list with a JSON validator, or write it as JSON Lines.",
        )
    more = text.read(READ_CHARS)
    if not more:
        raise SourceRefused(
            f"Item {count + 1} of the array is not JSON, or the array was cut there.",
            remedy="Check the list with a JSON validator.",
        )
    return more


class JsonDocumentReader:
    """An object that has the records in an array somewhere: the answer of an API."""

    def __init__(
        self, opened: Callable[[], IO[bytes]], encoding: TextEncoding, is_usable: IsUsable
    ) -> None:
        """Find the records.

        Raises:
            SourceRefused: it is too large, no JSON, or has no array of records with URLs.
        """
        with opened() as file:
            body = file.read(DOCUMENT_MAX_BYTES + 1)
        if len(body) > DOCUMENT_MAX_BYTES:
            raise SourceRefused(
                f"A JSON document of more than {DOCUMENT_MAX_BYTES} bytes is not read.",
                remedy="Write its records as JSON Lines.",
            )
        if (values := count_values(body)) > VALUES_MAX:
            raise SourceRefused(
                f"A JSON document of some {values} values is not read; {VALUES_MAX} are.",
                remedy="Write its records as JSON Lines.",
            )
        try:
            utf8 = body if encoding.name == "utf-8" else body.decode(encoding.name).encode()
            document = read_json(utf8)
        except ValueError as error:
            raise SourceRefused(f"It is not JSON ({error}).") from error
        found = max(
            _arrays(document, "", DOCUMENT_DEPTH, is_usable), key=lambda each: each[0], default=None
        )
        if found is None:
            raise SourceRefused(
                "It is a JSON document without an array of records that have a URL.",
                remedy="Give the array itself, or JSON Lines.",
            )
        _, self._path, self._records = found
        note = f"The records are its array {self._path}."
        self.format = ListFormat(
            "JSON document", None, encoding.name, notes=(*encoding.notes, note)
        )

    def records(self, offset: int) -> Iterator[Record | BadRecord]:
        """See `ListReader.records`."""
        for number in range(offset, len(self._records)):
            yield as_record(self._records[number], f"{self._path}[{number}]")


def _arrays(
    value: Any, path: str, levels: int, is_usable: IsUsable
) -> Iterator[tuple[int, str, list[Any]]]:
    """Yield arrays of records that have URLs: their length, place and elements."""
    if isinstance(value, list):
        first = next(iter(value), None)
        record = isinstance(first, Mapping) and is_usable(list(map(str, first)))
        if record or (isinstance(first, str) and "//" in first):
            yield len(value), path, value
    elif isinstance(value, Mapping) and levels:
        for name, inner in value.items():
            place = f"{path}.{name}" if path else str(name)
            yield from _arrays(inner, place, levels - 1, is_usable)


def as_record(value: Any, place: str) -> Record | BadRecord:
    """Return a value as a record: an object as it is, a text as a URL."""
    if isinstance(value, Mapping):
        return Record(place, value)
    if isinstance(value, str):
        return Record(place, {URL_COLUMN: value})
    return BadRecord(place, "Not a JSON object.")
