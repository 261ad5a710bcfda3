"""The export format ``jsonl``: an asset on each line, without embeddings (https://jsonlines.org).

A line has the fields that the rows of tables have. Metadata are JSON as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import orjson
from typing_extensions import override

from triptych.snapshots.exports.columns import Exported, described
from triptych.snapshots.exports.export_format import ExportFormat, Open, Writer
from triptych.snapshots.exports.metadata_columns import FURTHER, WHOLE


class JsonLinesWriter(Writer):
    """A file that is written line by line."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    @override
    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        for row in rows:
            plain = {WHOLE: row.asset.metadata, FURTHER: row.asset.also}
            line = orjson.dumps({**described(row), **plain}, option=orjson.OPT_APPEND_NEWLINE)
            self._file.write(line)

    @override
    def close(self) -> None:
        self._file.close()


def _open(name: str, _dimension: int | None, opening: Open) -> Writer:
    return JsonLinesWriter(opening(f"{name}.jsonl"))


JSON_LINES = ExportFormat(
    name="jsonl",
    title="JSON Lines",
    description="One asset per line, without embeddings, its metadata as they are.",
    open=_open,
)
