"""What the columns of a list hold, to help choose the one that has the URLs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS_SAMPLED_MAX = 200
"""Columns of one file of which values are shown: the first ones."""
SAMPLES_MAX = 3
"""Values shown of a column."""
SAMPLE_MAX_CHARS = 200
"""Characters shown of a value."""
NAME_MAX_CHARS = 200
"""Characters of a column's name; a longer one is shown without values."""
FILES_SAMPLED_MAX = 5
"""Files of a source of which values are shown: what is said of its files has a limit in bytes."""
RECORDS_MAX = 1_000
"""Records that are looked at for them."""
CUT = "…"
"""What stands at the end of a value that was cut."""


class ColumnSamples:
    """The first different values of each column, cut to `SAMPLE_MAX_CHARS`; empty ones are none."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}
        self._records = 0

    def add(self, values: Mapping[str, Any]) -> None:
        """Look at one more record."""
        if self._records >= RECORDS_MAX:
            return
        self._records += 1
        for key, value in values.items():
            name = _plain(str(key))
            known = self._found.get(name)
            if known is None:
                if len(self._found) >= COLUMNS_SAMPLED_MAX or len(name) > NAME_MAX_CHARS:
                    continue
                known = self._found.setdefault(name, [])
            if len(known) < SAMPLES_MAX and (text := _shown(value)) and text not in known:
                known.append(text)

    def shown(self) -> dict[str, list[str]]:
        """Return the values so far, by column."""
        return {name: list(values) for name, values in self._found.items()}


def _shown(value: Any) -> str:
    if value is None:
        return ""
    nested = isinstance(value, Mapping | Sequence) and not isinstance(value, str)
    text = json.dumps(value, ensure_ascii=False, default=str) if nested else str(value)
    text = _plain(text.strip())
    return text if len(text) <= SAMPLE_MAX_CHARS else f"{text[: SAMPLE_MAX_CHARS - 1]}{CUT}"


def _plain(text: str) -> str:
    """Return a text that can be encoded: JSON may have half of a character."""
    return text.encode("utf-8", "replace").decode()
