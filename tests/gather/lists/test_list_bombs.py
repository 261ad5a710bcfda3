"""Lists made to expand cost their own parser some memory, and nothing else anything."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.list_bombs import BOMBS, MIB
from triptych.gather.lists.list_parsers import MEMORY_MAX_BYTES

pytestmark = pytest.mark.integration

PATIENCE_S = 300.0
OWN_MAX_BYTES = 200 * MIB
"""Of the process that gathers: sixty are its modules'."""
BOUNDED_BYTES = 200 * MIB
"""Of a parser whose reader sees what is coming."""
LONG_BYTES = 100 * MIB
"""Of one that streams a list."""
PACKED_BYTES = 700 * MIB
"""Of one that holds an unpacked file in memory."""
STANDS_STILL_S = 1.0
"""CPU time for which nothing else gets a turn, at most; it is some hundredths."""

REFUSED = {
    "gzip of a CSV": r"It has \d+ bytes and unpacks to more than \d+\. Unpack it",
    "gzip of one line": "unpacks to more than",
    "gzip of JSON": "unpacks to more than",
    "gzip of Parquet": "unpacks to more than",
    "gzip of XML": "unpacks to more than",
    "gzip in gzip": "no text",
    "zip": "unpacks to more than",
    "zip of many": "a zip with 20000 files",
    "workbook, huge sheet": r"has \d+ bytes, and \d+ unpacked; .*Save it as CSV",
    "workbook, far cell": r"needs more than 1536 MiB of memory to be read at its beginning",
    "workbook, shared text": r"needs more than 1536 MiB of memory to be read at its beginning",
    "Parquet, plain": r"Row group 1 of the Parquet file is too large: \d+ bytes unpack to",
    "Parquet, values": "its 1 rows have 30000000 values in one column",
    "Parquet, deep": "too deeply nested",
    "JSON array, long text": "Item 1 of the array is no JSON value of at most 1048576 characters",
    "JSON array, deep": "Item 1 is nested too deeply",
    "JSON document, empty lists": r"some \d+ values is not read; 6000000 are\. .*JSON Lines",
    "CSV, quotes for ever": r"Too many quotes are never closed; line \d+ has one",
    "CSV, columns": "It has 400001 columns; 20000 are read",
    "XML, long text": "Entry 1 of the XML has more than 8388608 bytes",
    "XML, attributes": "Entry 1 of the XML has more than 50000 elements and attributes",
    "XML, elements": "Entry 1 of the XML has more than 50000 elements and attributes",
    "XML, namespace": r"needs more than 1536 MiB of memory to be read",
    "XML, deep": "Entry 1 of the XML has more than 50000 elements and attributes",
}
"""What is said of lists of which nothing is read."""
ROWS: dict[str, tuple[dict[str, int], str]] = {
    "Parquet, columns": ({"good": 400}, ""),
    "gzip of long lines": ({"invalid_metadata": 60}, ""),
    "Parquet, dictionary": ({"invalid_row": 1000}, "row 1: It has 8000025 bytes; a record may"),
    "Parquet, dictionary of URLs": ({"invalid_row": 1000}, "row 1: It has 8000000 bytes"),
    "Parquet, dictionary in lists": ({"invalid_row": 1000}, "row 1: It has 8000037 bytes"),
    "JSON array, deep item": ({"invalid_url": 1}, ""),
    "JSON Lines, long line": ({"invalid_url": 2, "invalid_row": 1}, "line 2: Longer than"),
    "JSON Lines, deep": ({"invalid_url": 2, "invalid_row": 1}, "line 2: Not JSON (nested too"),
    "JSON Lines, deep URL": ({"invalid_url": 1, "invalid_row": 1}, "line 2: url: It is nested"),
    "JSON Lines, large number": ({"invalid_url": 1}, ""),
    "JSON Lines, many URLs": ({"invalid_url": 1, "invalid_row": 1}, "line 2: url: It has more"),
    "CSV, long field": ({"invalid_url": 1, "invalid_row": 1}, "line 2: It is longer than"),
    "CSV, quote over many lines": (
        {"good": 49_999, "invalid_row": 2},
        "line 2: A quote that opens in column 3 is not closed",
    ),
    "CSV, white space": ({"good": 3}, ""),
    "CSV, many URLs": ({"good": 1, "invalid_row": 1}, "line 2: url: It has more than 1000 URLs"),
    "XML, entry of 2 MB": ({"good": 1, "invalid_row": 1}, "entry 1: It has 2000063 bytes"),
}
"""How many rows come of the others, by what becomes of them, and what is said first of one."""
PARSERS = {
    "gzip of Parquet": PACKED_BYTES,
    "workbook, shared text": MEMORY_MAX_BYTES,
    "XML, namespace": MEMORY_MAX_BYTES,
    "Parquet, columns": PACKED_BYTES,
}
"""Those whose parsers take more than `BOUNDED_BYTES`."""


class Gatherer:
    """A process that reads lists, each in a fork."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.list_gathering"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def gathered(self, path: Path) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{path}\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE_S)
        assert ready, f"{path} is not read within {PATIENCE_S} s"
        line = self._process.stdout.readline()
        assert line, "the process that reads lists has died; see its stderr"
        told: dict[str, Any] = json.loads(line)
        return told

    def close(self) -> None:
        # Also a fork that has not ended.
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@pytest.fixture(scope="module")
def gatherer() -> Iterator[Gatherer]:
    started = Gatherer()
    yield started
    started.close()


def test_each_bomb_is_expected() -> None:
    assert set(BOMBS) == {*REFUSED, *ROWS}


@pytest.mark.parametrize("bomb", BOMBS)
def test_g8_a_list_made_to_expand_stays_small_and_is_told(
    tmp_path: Path, gatherer: Gatherer, bomb: str
) -> None:
    path = tmp_path / "list"
    path.write_bytes(BOMBS[bomb]())
    told = gatherer.gathered(path)
    assert told["own_peak_bytes"] < OWN_MAX_BYTES
    assert told["parser_peak_bytes"] < PARSERS.get(bomb, BOUNDED_BYTES)
    assert told["stood_still_s"] < STANDS_STILL_S
    if bomb in REFUSED:
        assert told["error"].startswith("SourceRefused: list: "), "the file is named"
        assert re.search(REFUSED[bomb], told["error"]), told["error"]
        assert told["rows"] == {}
        return
    rows, said = ROWS[bomb]
    assert (told["error"], told["rows"]) == ("", rows)
    assert "\n".join(told["problems"]).startswith(said)


def test_g8_a_long_list_is_streamed_by_its_parser(tmp_path: Path, gatherer: Gatherer) -> None:
    """Two hundred thousand rows, fifty megabytes, in what a short list takes."""
    path = tmp_path / "list"
    text = "x" * 200
    path.write_text("url,t\n" + "".join(f"https://x/{n},{text}\n" for n in range(200_000)))
    told = gatherer.gathered(path)
    assert told["rows"] == {"good": 200_000}
    assert told["own_peak_bytes"] < OWN_MAX_BYTES
    assert told["parser_peak_bytes"] < LONG_BYTES
