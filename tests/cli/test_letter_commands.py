"""Dead letters on the command line: listed, redriven, discarded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import DatabaseCommands, log_apart

pytestmark = pytest.mark.integration


@pytest.fixture
def cli(migrated_dsn: str, tmp_path: Path) -> DatabaseCommands:
    return DatabaseCommands(migrated_dsn, tmp_path / "data")


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    with log_apart():
        yield


def test_dead_letters_are_listed_and_chosen_by_id_or_all(cli: DatabaseCommands) -> None:
    assert cli("dead-letters", "list", "--json").json() == {"items": []}
    neither = cli("dead-letters", "discard")
    assert neither.code == 1
    assert "ID: Name dead letters by their ids, or all." in neither.err
    assert cli("dead-letters", "discard", "7", "--json").json() == {"discarded": 0}
    assert cli("dead-letters", "redrive", "--all", "--json").json() == {"redriven": 0}
