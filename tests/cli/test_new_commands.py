"""`triptych new step` says what it wrote and how to go on, and refuses without overwriting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner, Result

from triptych.ai.step_package import StepKind
from triptych.cli.command_line import app
from triptych.cli.new_commands import Kind


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """Undo the configuration of the log, which a command makes for its own process."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


def called(*words: str) -> Result:
    return CliRunner().invoke(app, ["new", "step", *words])


def test_the_kinds_are_those_of_the_packages() -> None:
    assert [each.value for each in Kind] == [each.value for each in StepKind]


def test_the_files_and_the_next_command_are_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = called("shot-angle")
    assert shown.exit_code == 0, shown.output
    *files, heading, command = shown.stdout.splitlines()
    written = sorted(
        str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()
    )
    assert sorted(files) == written
    assert heading == "Install it and run its tests:"
    assert command.strip() == (
        "cd triptych-shot-angle && pip install --editable . pytest && pytest"
    )


def test_a_folder_is_chosen_and_not_overwritten(tmp_path: Path) -> None:
    into = tmp_path / "my step"
    found = json.loads(called("shape", "--kind", "brand", "--into", str(into), "--json").stdout)
    assert found["folder"] == str(into)
    assert all((into / name).is_file() for name in found["files"])
    before = {path: path.read_bytes() for path in into.rglob("*") if path.is_file()}
    again = called("shape", "--into", str(into))
    assert (again.exit_code, again.stdout) == (1, "")
    assert "exists already, and nothing is overwritten. Choose another folder" in again.stderr
    assert {path: path.read_bytes() for path in into.rglob("*") if path.is_file()} == before


def test_a_name_that_is_taken_is_refused(tmp_path: Path) -> None:
    refused = called("text", "--into", str(tmp_path / "new"))
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: name: 'text' is the name of a step")
    assert not (tmp_path / "new").exists()
