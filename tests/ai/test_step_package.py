"""`write_step_package` writes what can be installed, is found, and passes its own tests."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from triptych.ai.step_package import NAME_MAX_CHARS, StepKind, write_step_package
from triptych.errors import BadInput, Conflict

BIN = Path(sys.executable).parent
PATIENCE_S = 120.0
NAMES = {StepKind.ASSET: "shot-angle", StepKind.BRAND: "colour_mood"}


def run(folder: Path, *command: str, **environment: str) -> str:
    ran = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.mark.integration
def test_the_packages_are_installed_and_pass_their_tests(tmp_path: Path) -> None:
    written = [
        write_step_package(name, kind, tmp_path / kind.value) for kind, name in NAMES.items()
    ]
    folders = [str(each.folder) for each in written]
    for each in written:
        style = ("--isolated", "--no-cache", "--quiet", "--line-length", "100")
        run(each.folder, str(BIN / "ruff"), "check", "--select", "B,E,F,I,UP,W", *style)
        run(each.folder, str(BIN / "ruff"), "format", "--check", *style)
    site = tmp_path / "site"
    quietly = ("--quiet", "--offline", "--python", sys.executable, "--target", str(site))
    flags = ("--no-deps", "--no-build-isolation", *quietly)
    run(tmp_path, str(BIN / "uv"), "pip", "install", *flags, *folders)
    # A module is found where it was installed only, and not where it was written.
    for each in written:
        module = next(path for path in each.files if len(path.parts) == 1 and path.suffix == ".py")
        (each.folder / module).rename(each.folder / "unused.py")
    out = run(
        tmp_path,
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *folders),
        PYTHONPATH=str(site),
    )
    assert "8 passed" in out


@pytest.mark.parametrize("kind", StepKind)
def test_a_package_names_its_step_in_every_place(kind: StepKind, tmp_path: Path) -> None:
    written = write_step_package("a-b_c", kind, tmp_path / "new" / "package")
    files = {path.as_posix() for path in written.files}
    module = "triptych_a_b_c"
    assert files == {"README.md", "pyproject.toml", f"{module}.py", f"tests/test_{module}.py"}
    there = [path for path in written.folder.rglob("*") if path.is_file()]
    assert {path.relative_to(written.folder).as_posix() for path in there} == files
    declared = tomllib.loads((written.folder / "pyproject.toml").read_text())["project"]
    assert declared["name"] == "triptych-a-b-c"
    groups = {"triptych.insights"} | ({"triptych.features"} if kind is StepKind.ASSET else set())
    assert declared["entry-points"].keys() == groups
    for points in declared["entry-points"].values():
        assert [point.split(":")[0] for point in points.values()] == [module]
        assert list(points) == ["a-b_c"]


def test_nothing_that_exists_is_overwritten(tmp_path: Path) -> None:
    kept = tmp_path / "README.md"
    kept.write_text("mine")
    with pytest.raises(Conflict, match="exists already"):
        write_step_package("shape", StepKind.BRAND, tmp_path)
    assert list(tmp_path.iterdir()) == [kept]
    assert kept.read_text() == "mine"
    with pytest.raises(Conflict, match=r"README\.md.*cannot be written|Not a directory"):
        write_step_package("shape", StepKind.BRAND, kept / "below")


@pytest.mark.parametrize(
    "name",
    [
        *("", "Shape", "1st", "a b", "a--b", "-a", "a-", "a/b", "é", "x" * (NAME_MAX_CHARS + 1)),
        *("text", "duplicates", "cluster", 'a"\n[b]', "a\n"),
    ],
)
def test_a_name_that_cannot_be_used_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="name: "):
        write_step_package(name, StepKind.ASSET, tmp_path / "new")
    assert not list(tmp_path.iterdir())
