"""A command that is told to end leaves nothing running, whenever it is told."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from tests.support.cli_process import PATIENCE_S, Cli
from tests.support.picture_server import Site, write_manifest
from tests.support.process_tree import ProcessTree
from tests.support.waiting import until_true

pytestmark = pytest.mark.integration

ENDED_WITHIN_S = 30.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
async def test_a_run_that_is_ended_leaves_no_postgres(
    cli: Cli, site: Site, tmp_path: Path, number: signal.Signals
) -> None:
    site.released = asyncio.Event()
    source = write_manifest(tmp_path, site.base, "nike", 3)
    process = await cli.start_fork("run", "nike", "--source", source)
    await until_true(lambda: site.hits > 0, patience_s=PATIENCE_S)
    tree = ProcessTree(process.pid)
    assert any("postgres" in command for command in tree.commands)
    # `timeout` sends its signal twice: to the process and to its group.
    for _ in range(1 if number == signal.SIGINT else 2):
        process.send_signal(number)
    _, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 128 + number
    assert tree.left(ENDED_WITHIN_S) == []
    tree.close()
    assert "`triptych run nike` goes on where this stopped" in err.decode()
    site.released.set()
    again = await cli("run", "nike", "--json")
    assert again.code == 0
    (only,) = again.err.splitlines()
    assert only.startswith("nike has an active run already"), "no orphan was found"


async def test_a_signal_while_postgres_starts_leaves_nothing_either(new_cli: Cli) -> None:
    process = await new_cli.start_fork("run", "nike", "--source", "manifest:/nowhere.csv")

    def started() -> bool:
        tree = ProcessTree(process.pid)
        found = any("postgres" in command or "initdb" in command for command in tree.commands)
        tree.close()
        return found

    await until_true(started, patience_s=PATIENCE_S)
    tree = ProcessTree(process.pid)
    process.send_signal(signal.SIGTERM)
    await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert tree.left(ENDED_WITHIN_S) == []
    tree.close()
