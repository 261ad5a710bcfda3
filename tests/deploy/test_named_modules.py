"""Every module that the image and the stack name exists: no type checker reads those files."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = [ROOT / "Dockerfile", ROOT / "compose.yaml", *sorted((ROOT / "infra").glob("*.py"))]
MODULE = re.compile(r"\bfrom (triptych(?:\.\w+)+) import|\b(triptych(?:\.\w+)+)\.\w+\"")


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_modules_that_are_named_exist(file: Path) -> None:
    named = {one or other for one, other in MODULE.findall(file.read_text(encoding="utf-8"))}
    assert [name for name in sorted(named) if find_spec(name) is None] == []


def test_the_dockerfile_names_some() -> None:
    assert len(MODULE.findall(FILES[0].read_text(encoding="utf-8"))) >= 2
