"""The template counts the connections that a process really opens."""

from __future__ import annotations

import re
from pathlib import Path

from triptych.wiring.stores import COMMIT_CONNECTIONS

FUNCTIONS = Path(__file__).resolve().parents[2] / "infra" / "functions.py"


def test_the_template_knows_how_many_connections_commits_have() -> None:
    found = re.search(r"^COMMIT_CONNECTIONS = (\d+)$", FUNCTIONS.read_text(), re.MULTILINE)
    assert found is not None
    assert int(found[1]) == COMMIT_CONNECTIONS
