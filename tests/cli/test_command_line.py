"""The command line before any command runs: quick, and every command with the shared options."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import version

import pytest
import typer

from triptych.cli.command_line import app

SLOW = {"aiohttp", "asyncpg", "fastapi", "numpy", "pydantic", "structlog", "uvloop"}
LIST_MODULES = "import sys, triptych.cli.command_line; print(*sys.modules)"


@pytest.mark.integration
def test_help_imports_nothing_that_only_a_command_needs() -> None:
    found = subprocess.run(
        [sys.executable, "-c", LIST_MODULES], capture_output=True, check=True, text=True
    )
    assert not SLOW & set(found.stdout.split())


@pytest.mark.parametrize("name", ["run", "assets", "up", "doctor", "keys list"])
def test_every_command_has_the_shared_options(name: str) -> None:
    command = typer.main.get_command(app)
    for part in name.split():
        command = command.commands[part]  # type: ignore[attr-defined]
    options = [option for each in command.params for option in each.opts]
    assert options[-3:] == ["--data", "--json", "--debug"]
    assert ("--server" in options) == (name == "assets")


@pytest.mark.integration
def test_the_version_is_that_of_the_package() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "triptych", "--version"], capture_output=True, check=True, text=True
    )
    assert shown.stdout == f"triptych {version('triptych')}\n"
