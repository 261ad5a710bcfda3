"""The `triptych` command as a process on a data folder of its own."""

from __future__ import annotations

import asyncio
import functools
import json
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.command_forks import Fork, Forks
from tests.support.data_folder import provide

PATIENCE_S = 120.0
SHOWN_MAX_CHARS = 4_000
"""Of what a command that hung has written, beside where it hung."""
STACKS_BEGIN = "Fatal Python error"
STACKS_END = "Extension modules"


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


def hung(out: str, err: str) -> str:
    """Return what a command wrote until it was ended, cut, and its threads' stacks in full at last.

    A log is often cut from its front: what is last remains.
    """
    # Only this process writes its stacks last; one that it started may have written some before.
    before, begin, stacks = err.rpartition(STACKS_BEGIN)
    if not begin:
        before, stacks = err, "It wrote no stacks."
    stacks, end, after = stacks.partition(STACKS_END)
    written = f"{out}{before}{end}{after}"
    left_out = max(0, len(written) - SHOWN_MAX_CHARS)
    cut = f"({left_out} characters before this are left out)\n" if left_out else ""
    return f"{cut}{written[left_out:]}\n{begin}{stacks}"


def _hear_signals() -> None:
    """Let a process hear signals that this one may ignore: in a background job they are ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@functools.cache
def forks() -> Forks:
    """Return the process that forks this session's commands; it is started when first needed."""
    return Forks()


def pytest_unconfigure() -> None:
    """End the process that forks commands."""
    if forks.cache_info().currsize:
        forks().close()
        forks.cache_clear()


class Cli:
    """Runs `triptych` on one data folder, as it is installed beside a Python: ours by default."""

    def __init__(self, data: Path, python: str = sys.executable) -> None:
        self.data = data
        self.python = python
        self.env = {
            **os.environ,
            "TRIPTYCH_DATA": str(data),
            "TRIPTYCH_EMBEDDER": "none",
            "TRIPTYCH_API_PORT": "0",
            # Each decoder that starts takes half a CPU second, and the pictures here are small.
            "TRIPTYCH_DECODERS": "1",
            "TRIPTYCH_FETCH_ALLOW": "127.0.0.0/8",
            "COLUMNS": "200",
            "PYTHONFAULTHANDLER": "1",
        }

    async def start(self, *args: str) -> Process:
        """Start a command as an interpreter of its own."""
        return await asyncio.create_subprocess_exec(
            *(self.python, "-m", "triptych", *args),
            env=self.env,
            stdout=PIPE,
            stderr=PIPE,
            cwd=self.data.parent,
            preexec_fn=_hear_signals,
        )

    async def start_fork(self, *args: str) -> Process | Fork:
        """Start a command as a fork if that is possible, and else as `start` does."""
        fork = None
        if self.python == sys.executable and sys.platform == "linux":
            fork = await forks().start(args, self.env, self.data.parent)
        return fork or await self.start(*args)

    async def __call__(self, *args: str) -> Result:
        """Run a command to its end."""
        process = await self.start_fork(*args)
        communication = asyncio.create_task(process.communicate())
        done, _ = await asyncio.wait([communication], timeout=PATIENCE_S)
        if not done:
            # It writes where its threads are, and ends.
            process.send_signal(signal.SIGABRT)
        out, err = await asyncio.wait_for(communication, PATIENCE_S)
        assert done, f"{args} did not end in {PATIENCE_S:g} s:\n{hung(out.decode(), err.decode())}"
        assert process.returncode is not None
        return Result(process.returncode, out.decode(), err.decode())


@pytest.fixture
def new_cli(tmp_path: Path) -> Cli:
    """The command on a data folder that the first command makes."""
    return Cli(tmp_path / "data")


@pytest.fixture
def cli(new_cli: Cli) -> Cli:
    """The command on a data folder whose database is empty."""
    provide(new_cli.data)
    return new_cli


@asynccontextmanager
async def up_process(cli: Cli) -> AsyncIterator[tuple[Process | Fork, str]]:
    """Run `triptych up` until it says that it is up, and stop it as an init system would.

    Yields the process and the server's URL.
    """
    process = await cli.start_fork("up")
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_S):
            line = ""
            while "Triptych is up" not in line:
                line = (await process.stderr.readline()).decode()
                assert line, "it ended before it was up"
        found = re.search(r"API at (http://\S+)/api/v1", line)
        assert found, line
        yield process, found[1]
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), PATIENCE_S)


@asynccontextmanager
async def up(cli: Cli) -> AsyncIterator[str]:
    """Run `triptych up`; yields the server's URL."""
    async with up_process(cli) as (_, url):
        yield url
