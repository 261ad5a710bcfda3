"""Commands in the test's process, on a server or a database: a tenth of what a process takes.

A command starts an event loop, so its test has none; see `tests.support.served_api`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import structlog
from typer.testing import CliRunner
from typer.testing import Result as Ran

from tests.support.cli_process import Result
from tests.support.sealing import KEY
from triptych.cli.command_line import app

# Its console keeps a width that is set when it is made: not that of the first command.
import_module("triptych.cli.tables")


class Commands:
    """Runs commands on a server."""

    def __init__(self, url: str) -> None:
        self._url = url

    def __call__(self, *words: str) -> Ran:
        return CliRunner().invoke(app, [*words, "--server", self._url], env={"COLUMNS": "200"})

    def json(self, *words: str) -> Any:
        result = self(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def followed(self, *words: str) -> Any:
        """Run a command that follows a run to its end; return the run's last state."""
        result = self(*words, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout.splitlines()[-1])


class DatabaseCommands:
    """Runs commands on a database that another process runs."""

    def __init__(self, dsn: str, data: Path, *, embedder: str = "none") -> None:
        self.env = {
            "TRIPTYCH_DATA": str(data),
            "TRIPTYCH_DATABASE_URL": dsn,
            "TRIPTYCH_EMBEDDER": embedder,
            "TRIPTYCH_FETCH_ALLOW": "127.0.0.0/8",
            "TRIPTYCH_SEALING_KEY": KEY,
            "COLUMNS": "200",
        }

    def __call__(self, *words: str) -> Result:
        ran = CliRunner().invoke(app, words, env=self.env)
        return Result(ran.exit_code, ran.stdout, ran.stderr)


@contextmanager
def log_apart() -> Iterator[None]:
    """Undo the configuration of the log, which a command makes for its own process.

    The server logs in this process, too: not to what a command prints to.
    """
    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    try:
        yield
    finally:
        structlog.configure(**before)
