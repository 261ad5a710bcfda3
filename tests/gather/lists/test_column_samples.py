"""Samples of columns: the first different values, each of them bounded."""

from __future__ import annotations

from triptych.gather.lists.bounds import LISTS_MAX_BYTES
from triptych.gather.lists.column_samples import (
    COLUMNS_SAMPLED_MAX,
    CUT,
    FILES_SAMPLED_MAX,
    NAME_MAX_CHARS,
    RECORDS_MAX,
    SAMPLE_MAX_CHARS,
    SAMPLES_MAX,
    ColumnSamples,
)

ENCODED_BYTES = 6
"""Of a character in JSON at most: an escape."""


def test_the_first_different_values_are_shown_and_empty_ones_are_not() -> None:
    samples = ColumnSamples()
    for value in ("", None, " a ", "a", 2.5, ["b", {"c": None}], "more"):
        samples.add({"x": value})
    assert samples.shown() == {"x": ["a", "2.5", '["b", {"c": null}]']}
    assert len(samples.shown()["x"]) == SAMPLES_MAX


def test_what_is_long_or_no_text_is_cut_or_replaced() -> None:
    samples = ColumnSamples()
    samples.add({"long": "a" * 300, "half": "\ud800", "n" * (NAME_MAX_CHARS + 1): "left out"})
    assert samples.shown() == {"long": ["a" * (SAMPLE_MAX_CHARS - 1) + CUT], "half": ["?"]}


def test_columns_and_records_are_bounded() -> None:
    samples = ColumnSamples()
    samples.add({f"column {n}": n for n in range(COLUMNS_SAMPLED_MAX + 1)})
    assert len(samples.shown()) == COLUMNS_SAMPLED_MAX
    for _ in range(RECORDS_MAX):
        samples.add({"column 0": 0})
    samples.add({"column 0": "too late"})
    assert samples.shown()["column 0"] == ["0"]


def test_samples_of_all_files_leave_room_for_what_else_is_said_of_them() -> None:
    column = NAME_MAX_CHARS + SAMPLES_MAX * SAMPLE_MAX_CHARS
    most = FILES_SAMPLED_MAX * COLUMNS_SAMPLED_MAX * column * ENCODED_BYTES
    assert most < LISTS_MAX_BYTES * 3 / 4
