"""What a test shows of a command that did not end."""

from __future__ import annotations

from tests.support.cli_process import SHOWN_MAX_CHARS, hung

STACKS = "Fatal Python error: Aborted\n\nCurrent thread (most recent call first):\n  File x\n\n"


def test_where_it_hung_comes_last_and_what_it_wrote_is_cut() -> None:
    modules = "Extension modules: numpy (total: 1)\n"
    shown = hung("o" * SHOWN_MAX_CHARS, f"a log line\n{STACKS}{modules}")
    assert shown.endswith(STACKS)
    assert f"a log line\n{modules}" in shown
    assert shown.startswith(f"({len('a log line') + 1 + len(modules)} characters before this")


def test_without_stacks_it_says_so() -> None:
    assert hung("out\n", "err\n") == "out\nerr\n\nIt wrote no stacks."
