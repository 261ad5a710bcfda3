"""How tests run commands, and what they show of one that did not end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.cli_process import PATIENCE_S, SHOWN_MAX_CHARS, Cli, Result, hung
from tests.support.command_forks import Forks

STACKS = "Fatal Python error: Aborted\n\nCurrent thread (most recent call first):\n  File x\n\n"


def test_where_it_hung_comes_last_and_what_it_wrote_is_cut() -> None:
    modules = "Extension modules: numpy (total: 1)\n"
    shown = hung("o" * SHOWN_MAX_CHARS, f"a log line\n{STACKS}{modules}")
    assert shown.endswith(STACKS)
    assert f"a log line\n{modules}" in shown
    assert shown.startswith(f"({len('a log line') + 1 + len(modules)} characters before this")


def test_without_stacks_it_says_so() -> None:
    assert hung("out\n", "err\n") == "out\nerr\n\nIt wrote no stacks."


@pytest.mark.parametrize("args", [["--version"], ["nosuch"], ["settings", "--json"]], ids=str)
async def test_a_fork_does_what_an_interpreter_does(new_cli: Cli, args: list[str]) -> None:
    forked = await new_cli(*args)
    process = await new_cli.start(*args)
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    assert forked == Result(process.returncode, out.decode(), err.decode())
    assert forked.out + forked.err


async def test_a_fork_has_the_width_of_its_own_terminal(
    new_cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    title = "wide " * 10
    (tmp_path / "urls.csv").write_text(f"url,title\nhttps://x.example/1.png,{title}\n")
    monkeypatch.setenv("COLUMNS", "80")
    forks = Forks(packages=["triptych.cli"], late=[])
    try:
        fork = await forks.start(["check", "urls.csv"], new_cli.env, new_cli.data.parent)
        assert fork is not None
        out, _ = await asyncio.wait_for(fork.communicate(), PATIENCE_S)
    finally:
        forks.close()
    assert title.strip() in out.decode()
