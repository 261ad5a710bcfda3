"""The command line before any command runs: quick, and every command with the shared options."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from triptych.cli.command_line import PANELS, app
from triptych.cli.help_pages import first_sentence, panel_of

WIDTH_COLUMNS = 80
SLOW = {"aiohttp", "asyncpg", "fastapi", "numpy", "pydantic", "structlog", "uvloop"}
LIST_MODULES = "import sys, triptych.cli.command_line; print(*sys.modules)"
OF_A_PICTURE = {"PIL", "lxml", "onnx", "onnxruntime", "pi_heif", "puremagic", "resvg_py", "scipy"}
STATUS_MODULES = """
import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules))
runpy.run_module("triptych", run_name="__main__")
"""


@pytest.mark.integration
def test_help_imports_nothing_that_only_a_command_needs() -> None:
    found = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], capture_output=True, check=True, text=True
    )
    assert not SLOW & set(found.stdout.split())


@pytest.mark.integration
def test_a_command_on_the_private_server_imports_only_what_it_needs(
    tmp_path: Path,
) -> None:
    found = subprocess.run(
        [sys.executable, "-c", STATUS_MODULES, "status"],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "TRIPTYCH_DATA": str(tmp_path / "data")},
    )
    answer, modules = found.stdout.splitlines()
    assert answer.startswith("No brands yet.")
    assert "triptych.api.app" in modules.split()
    assert not OF_A_PICTURE & set(modules.split())


@pytest.mark.parametrize("name", ["run", "assets", "up", "doctor", "keys list"])
def test_every_command_has_the_shared_options(name: str) -> None:
    command = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]  # type: ignore[attr-defined]
    options = [option for each in command.params for option in each.opts]
    assert options[-3:] == ["--data", "--json", "--debug"]
    assert ("--server" in options) == (name == "assets")


def _pages(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Yield every command and group with what is typed to get its page."""
    yield " ".join(path), command
    for name, each in getattr(command, "commands", {}).items():
        yield from _pages(each, (*path, name))


PAGES = dict(_pages(typer.main.get_command(app)))


@pytest.mark.parametrize("path", PAGES)
def test_no_line_of_a_help_page_is_cut_at_80_columns(path: str) -> None:
    page = CliRunner().invoke(app, [*path.split(), "--help"], env={"COLUMNS": "80"}).output

    lines = page.splitlines()
    assert max(map(len, lines)) <= WIDTH_COLUMNS
    assert not [line for line in lines if line.endswith(("...", "…")) and "Usage:" not in line]
    text = " ".join(page.split())
    for parameter in PAGES[path].params:
        if not parameter.hidden:
            assert parameter.help in text
            assert parameter.help.endswith(".")
    for name, command in getattr(PAGES[path], "commands", {}).items():
        assert [line for line in lines if line.split() == [name, *first_sentence(command).split()]]
        assert first_sentence(command).endswith(".")


def test_every_command_is_under_a_heading_in_the_order_of_the_headings() -> None:
    page = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).output

    commands = PAGES[""].commands
    assert {panel_of(command) for command in commands.values()} == set(PANELS)
    headings = [line[:-1] for line in page.splitlines() if line.endswith(":")]
    assert headings == [*PANELS, "Options"]
    assert list(commands)[:3] == ["check", "run", "submit"]


@pytest.mark.integration
def test_the_version_is_that_of_the_package() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "triptych", "--version"], capture_output=True, check=True, text=True
    )
    assert shown.stdout == f"triptych {version('triptych')}\n"
