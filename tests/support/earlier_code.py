"""Triptych as it was at a commit: taken from git, and run beside this code."""

from __future__ import annotations

import asyncio
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import tomllib
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.waiting import until

REPOSITORY = Path(__file__).resolve().parents[2]
COMMAND_S = 120.0
STOP_S = 60.0


def git(*arguments: str) -> bytes:
    """Return what git says in this repository.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    return subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True
    ).stdout


def need_commit(commit: str) -> None:
    """Skip the test where git's history is not at hand, and fail it where that lacks the commit."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("the code before is in git's history, and this is an archive of the source")
    if _asked("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("the code before is in git's history, which is cut here: git fetch --unshallow")
    found = _asked("cat-file", "-e", f"{commit}^{{commit}}")
    if found.returncode:
        pytest.fail(f"git's history has no commit {commit} ({found.stderr.strip()})")


def _asked(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=REPOSITORY, check=False, capture_output=True, text=True
    )


def unpack(commit: str, folder: Path) -> Path:
    """Return the folder of the packages of a commit, with what is installed of it."""
    need_commit(commit)
    folder.mkdir(parents=True)
    archive = git("archive", "--format=tar", commit, "src", "pyproject.toml")
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        packed.extractall(folder, filter="data")
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    # Its own entry points, in place of those that this code has installed.
    installed = folder / "src" / f"triptych-{project['version']}.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: triptych\nVersion: {project['version']}\n"
    )
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (installed / "entry_points.txt").write_text("\n".join(lines))
    return folder / "src"


@dataclass(slots=True)
class Code:
    """A code of Triptych, the processes that run it, and what they have logged."""

    name: str
    source: Path
    """The folder that it is imported from."""
    log: Path
    environment: Mapping[str, str]
    processes: list[Process] = field(default_factory=list)

    async def command(self, *arguments: str) -> str:
        """Run a command to its end and return what it printed.

        Raises:
            AssertionError: it failed.
        """
        process = await self._spawn(*arguments, stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(process.communicate(), COMMAND_S)
        assert process.returncode == 0, self.log.read_text()
        return out.decode()

    async def start(self, *arguments: str) -> Process:
        """Start a server or worker."""
        process = await self._spawn(*arguments, stdout=asyncio.subprocess.DEVNULL)
        self.processes.append(process)
        return process

    async def serve(self, *arguments: str) -> tuple[Process, str]:
        """Start a server; return its process, and the API's address once it has said it."""
        said = len(self.logged())
        process = await self.start(*arguments)

        async def address() -> str | None:
            assert process.returncode is None, self.logged()[said:]
            found = re.search(r"API (?:is )?at (http://[^\s]+?/api/v1)\b", self.logged()[said:])
            return found[1] if found else None

        found = await until(address, patience_s=COMMAND_S)
        assert found is not None
        return process, f"{found}/"

    def logged(self) -> str:
        """Return what its processes have said."""
        return self.log.read_text() if self.log.exists() else ""

    async def _spawn(self, *arguments: str, stdout: int) -> Process:
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "triptych", *arguments),
                env={**self.environment, "PYTHONPATH": str(self.source)},
                cwd=self.log.parent,
                stdout=stdout,
                stderr=log,
                start_new_session=True,
            )

    async def kill(self, process: Process) -> None:
        """Kill a process and all that it has started, as if the machine were gone."""
        os.killpg(process.pid, signal.SIGKILL)
        await asyncio.wait_for(process.wait(), STOP_S)

    async def stop(self) -> None:
        """End what runs, as an init system would."""
        running = [process for process in self.processes if process.returncode is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            await asyncio.wait_for(process.wait(), STOP_S)


@asynccontextmanager
async def stopped_after(*codes: Code) -> AsyncIterator[None]:
    """End what runs of these codes at the end of the block."""
    try:
        yield
    finally:
        for code in codes:
            await code.stop()
