"""Export formats are found by entry point; one that is broken is seen and breaks no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import plug_ins
from triptych.errors import BadInput
from triptych.snapshots.exports.csv_table import CSV
from triptych.snapshots.exports.export_format import ExportFormat
from triptych.snapshots.exports.export_registry import (
    ENTRY_POINT_GROUP,
    ExportRegistry,
    export_formats,
)
from triptych.snapshots.exports.json_lines import JSON_LINES
from triptych.snapshots.exports.parquet_table import PARQUET
from triptych.snapshots.exports.webdataset import WEBDATASET

LINES = """
from triptych.snapshots.exports.export_format import ExportFormat
LINES = ExportFormat("lines", "Lines", "One URL a line.", lambda name, dimension, opening: None)
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(folder: Path, name: str, entry_points: str, module: str = "") -> None:
    plug_ins.install(folder, ENTRY_POINT_GROUP, name, entry_points, module)


def test_our_own_formats_are_installed() -> None:
    registry = ExportRegistry.discover()
    assert list(registry.formats) == [CSV, JSON_LINES, PARQUET, WEBDATASET]
    assert registry.broken == {}
    assert list(export_formats()) == ["csv", "jsonl", "parquet", "webdataset"]


def test_a_plug_in_is_a_format_as_ours_are(site: Path) -> None:
    install(site, "plug_lines", "lines = plug_lines:LINES", LINES)
    assert ExportRegistry.discover().find("lines").title == "Lines"


def test_what_is_no_format_is_refused_with_the_field_and_the_remedy(site: Path) -> None:
    install(site, "plug_torn", "torn = plug_torn:LINES", "1 / 0")
    registry = ExportRegistry.discover()
    for name, says in (("xls", "There is no format 'xls'."), ("torn", "ZeroDivisionError")):
        with pytest.raises(BadInput) as refused:
            registry.find(name, field="--format")
        assert says in refused.value.message
        assert refused.value.field == "--format"
        assert refused.value.remedy == "Name one of: csv, jsonl, parquet, webdataset."
    assert registry.find("csv") is CSV


def test_a_format_has_a_usable_name() -> None:
    with pytest.raises(ValueError, match="is not a valid format name"):
        ExportFormat("A b", "x", "x", CSV.open)
