"""Dead letters on the command line: listed, redriven, discarded."""

from __future__ import annotations

import pytest

from tests.support.cli_process import Cli

pytestmark = pytest.mark.integration


async def test_dead_letters_are_listed_and_chosen_by_id_or_all(cli: Cli) -> None:
    assert (await cli("dead-letters", "list", "--json")).json() == {"items": []}
    neither = await cli("dead-letters", "discard")
    assert neither.code == 1
    assert "ID: Name dead letters by their ids, or all." in neither.err
    assert (await cli("dead-letters", "discard", "7", "--json")).json() == {"discarded": 0}
    assert (await cli("dead-letters", "redrive", "--all", "--json")).json() == {"redriven": 0}
