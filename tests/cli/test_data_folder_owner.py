"""`up` and commands on one data folder, started in any order: none takes it from the other."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from asyncio.subprocess import Process
from pathlib import Path

import asyncpg
import pytest

from tests.support.cli_process import PATIENCE_S, Cli, Result, up_process
from tests.support.command_forks import Fork
from tests.support.embedded import children
from tests.support.picture_server import serve_pictures, write_manifest
from tests.support.proof_size import by_size
from tests.support.waiting import until, until_true
from triptych.embedded.data_folder import DataFolder, Owner
from triptych.embedded.sockets import read_dsn

pytestmark = pytest.mark.integration

ROUNDS = by_size(3, 8)
SEED = 16
READY_WITHIN_S = 60.0
"""A start on two busy cores takes seconds; what the kills leave to recover, less than one."""


def owner_of(cli: Cli) -> Owner | None:
    return DataFolder(cli.data).owner()


def is_brief(cli: Cli) -> bool:
    owner = owner_of(cli)
    return owner is not None and owner.brief and owner.ready


async def ended(process: Process | Fork) -> tuple[int, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_a_command_that_is_watching_hands_the_folder_to_up(cli: Cli, tmp_path: Path) -> None:
    """It was started while `up` was away, and goes on until its run is committed."""
    async with serve_pictures() as base:
        source = write_manifest(tmp_path, base, "nike", 40)
        watching = await cli.start_fork("submit", "nike", "--source", source, "--watch", "--json")
        await until_true(lambda: is_brief(cli))

        async with up_process(cli) as (process, _):
            owner = owner_of(cli)
            assert owner is not None
            assert owner.pid == process.pid
            code, out, err = await ended(watching)
        last = json.loads(out.splitlines()[-1])
    assert (code, last["state"], last["ai_state"]) == (0, "committed", "done"), err


async def test_commands_are_answered_while_up_starts_and_stops(cli: Cli) -> None:
    """A supervisor restarts `up` while commands come: all of them succeed."""
    stop = asyncio.Event()
    problems: list[str] = []

    async def command() -> None:
        while not stop.is_set():
            result = await cli("status", "--json")
            if result.code != 0:
                problems.append(result.err)

    commands = [asyncio.create_task(command()) for _ in range(2)]
    for _ in range(2):
        async with up_process(cli) as (process, _):
            owner = owner_of(cli)
            assert owner is not None
            assert owner.pid == process.pid
        assert process.returncode == 0
    stop.set()
    await asyncio.gather(*commands)
    assert problems == []


async def test_a_command_waits_for_an_up_that_starts(cli: Cli) -> None:
    async def status_while_it_starts() -> Result:
        await until_true(lambda: owner_of(cli))
        owner = owner_of(cli)
        assert owner is not None
        assert not owner.ready
        return await cli("status", "--json")

    asking = asyncio.create_task(status_while_it_starts())
    async with up_process(cli) as (process, _):
        status = await asking
        assert status.code == 0, status.err
        owner = owner_of(cli)
        assert owner is not None
        assert owner.pid == process.pid


async def test_up_is_stopped_while_it_waits(cli: Cli) -> None:
    """For a command that does not give the folder up, as one that is frozen."""
    frozen = DataFolder(cli.data)
    frozen.acquire(brief=True)
    process = await cli.start_fork("up")
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            line = (await process.stderr.readline()).decode()
        assert line.startswith(f"Waiting for process {os.getpid()} (")
        process.terminate()
        code, _, err = await ended(process)
    finally:
        frozen.release()
    assert (code, err) == (0, "Stopped.\n")


@pytest.mark.prove
async def test_g4_up_is_ready_after_any_kill(cli: Cli) -> None:
    """`up` is killed with one of Postgres' processes, and at once commands and `up` start."""
    rng = random.Random(SEED)
    assert (await cli("migrate")).code == 0
    for number in range(ROUNDS):
        async with up_process(cli) as (process, _):
            connection = await asyncpg.connect(read_dsn(cli.data))
            await connection.execute("CREATE TABLE IF NOT EXISTS kept (round int)")
            rounds = [row["round"] for row in await connection.fetch("SELECT round FROM kept")]
            assert sorted(rounds) == list(range(number)), f"seed {SEED}"
            await connection.execute("INSERT INTO kept VALUES ($1)", number)
            await kill_with_one(process, rng)
            connection.terminate()
        await asyncio.sleep(rng.choice([0.0, 0.02, 0.05, 0.1, 0.3]))
        status = asyncio.create_task(cli("status", "--json"))
        await asyncio.sleep(rng.choice([0.0, 0.3, 1.0, 2.0]))
        async with asyncio.timeout(READY_WITHIN_S):
            async with up_process(cli):
                result = await status
        assert result.code == 0, (SEED, number, result.err)


async def kill_with_one(up: Process | Fork, rng: random.Random) -> None:
    """Kill `up` and one of its Postgres' processes, in either order."""
    cluster = await until(lambda: asyncio.to_thread(children, up.pid))
    postmaster = next(pid for pid, title in cluster.items() if "cluster_name=triptych" in title)
    victims = sorted(children(postmaster))
    kills = [up.pid, rng.choice([*victims, postmaster])]
    rng.shuffle(kills)
    for pid in kills:
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(rng.choice([0.0, 0.01, 0.05]))
