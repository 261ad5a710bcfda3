"""The guides' plug-ins are found by entry point, and the tests that the guides show pass."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import plug_ins
from triptych.ai.step import discover
from triptych.gather.source_registry import SourceRegistry
from triptych.snapshots.exports.export_registry import ExportRegistry

GUIDES = Path(__file__).parents[2] / "docs" / "guides"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    known = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - known:
        if Path(getattr(sys.modules[name], "__file__", None) or "/").parent == tmp_path:
            del sys.modules[name]


def sources() -> list[str]:
    return [one.scheme for one in SourceRegistry.discover().types]


def steps() -> list[str]:
    return [step.name for step in discover()]


def formats() -> list[str]:
    return [one.name for one in ExportRegistry.discover().formats]


@pytest.mark.parametrize(
    ("guide", "module", "found"),
    [
        ("sources.md", "lookbook_source", sources),
        ("ai-steps.md", "brand_shapes", steps),
        ("export-formats.md", "url_list", formats),
    ],
)
def test_the_guides_plug_in_is_found_and_passes_its_own_test(
    guide: str, module: str, found: Callable[[], Sequence[str]], site: Path
) -> None:
    text = (GUIDES / guide).read_text(encoding="utf-8")
    (toml,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (test,) = (block for block in blocks if "\ndef test_" in block)
    header, entry = toml.strip().splitlines()
    group = header.split('"')[1]
    plug_ins.install(site, group, module, entry.replace('"', ""), blocks[0])
    assert entry.split(" = ")[0] in found()
    (site / "guide_test.py").write_text(test, encoding="utf-8")
    shown = runpy.run_path(str(site / "guide_test.py"))
    tests = [value for name, value in shown.items() if name.startswith("test_")]
    assert tests
    for run in tests:
        run()
