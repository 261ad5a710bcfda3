"""The guides' plug-ins are found by entry point, and the tests that the guides show pass."""

from __future__ import annotations

import re
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.support import plug_ins
from triptych.ai.asset_step import discover_asset_steps
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


FOUND: Mapping[str, Callable[[], Sequence[str]]] = {
    "triptych.sources": lambda: [one.scheme for one in SourceRegistry.discover().types],
    "triptych.insights": lambda: [step.name for step in discover()],
    "triptych.features": lambda: [step.name for step in discover_asset_steps()],
    "triptych.exports": lambda: [one.name for one in ExportRegistry.discover().formats],
}
"""The names of the plug-ins that are found, by their group of entry points."""


@pytest.mark.parametrize(
    ("guide", "module"),
    [
        ("sources.md", "lookbook_source"),
        ("ai-steps.md", "brand_shapes"),
        ("ai-steps.md", "file_weight"),
        ("ai-steps.md", "white_ground"),
        ("export-formats.md", "url_list"),
    ],
)
def test_the_guides_plug_in_is_found_and_passes_its_own_test(
    guide: str, module: str, site: Path
) -> None:
    text = (GUIDES / guide).read_text(encoding="utf-8")
    (toml,) = (block for block in blocks(text, "toml") if f'"{module}:' in block)
    groups = tomllib.loads(toml)["project"]["entry-points"]
    attributes = [value.split(":")[1] for points in groups.values() for value in points.values()]
    codes = blocks(text, "python")
    code = next(code for code in codes if all(f"\n{name} = " in code for name in attributes))
    (test,) = (code for code in codes if f"from {module} import" in code and "\ndef test_" in code)
    plug_ins.install_groups(site, module, groups, code)
    for group, points in groups.items():
        assert points.keys() <= set(FOUND[group]())
    (site / "guide_test.py").write_text(test, encoding="utf-8")
    shown = runpy.run_path(str(site / "guide_test.py"))
    tests = [value for name, value in shown.items() if name.startswith("test_")]
    assert tests
    for run in tests:
        run()


def blocks(text: str, kind: str) -> Sequence[str]:
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)
