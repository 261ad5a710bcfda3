"""The steps of the getting-started page, run as they stand, but for the port."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from tests.support.cli_process import forks
from triptych.runtime.asgi_server import bind

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "getting-started.md"
DEADLINE_S = 300.0
OFF = ("TRIPTYCH_OCR", "TRIPTYCH_PEOPLE")
"""Settings of slow steps that the page says nothing of, as all tests have them."""


async def test_the_steps_of_getting_started_work(tmp_path: Path) -> None:
    # Step 1 installs what this test runs with, and step 7 runs until Ctrl-C.
    _, steps = PAGE.read_text("utf-8").split("## 2. ")
    steps, _ = steps.split("## 7. ")
    blocks = re.findall(r"^```sh\n(.*?)^```", steps, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    clone = tmp_path / "triptych"
    clone.mkdir()
    for folder in ("docs", "dashboard"):
        (clone / folder).symlink_to(ROOT / folder)
    with bind("127.0.0.1", 0) as free:
        port = free.getsockname()[1]
    script = "\n".join(["set -eu", "trap 'kill $!' EXIT", *blocks]).replace("8000", str(port))
    programs = tmp_path / "programs"
    programs.mkdir()
    variables: dict[str, str] = {}
    inherited: tuple[int, ...] = ()
    if sys.platform == "linux":
        variables, inherited = forks().program(programs)
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", script),
        cwd=clone,
        env={
            **variables,
            **{name: os.environ[name] for name in OFF},
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "COLUMNS": "100",
        },
        pass_fds=inherited,
        stdout=PIPE,
        stderr=STDOUT,
    )
    out = (await asyncio.wait_for(process.communicate(), DEADLINE_S))[0].decode()
    assert process.returncode == 0, out
    assert "1 group of duplicates · 1 asset that repeats another" in out
    printed = {plain(line) for line in out.replace(str(port), "8000").splitlines()}
    assert [line for line in shown(steps) if line not in printed] == []


def plain(line: str) -> str:
    """Return a line without its alignment, and without the schema levels, which move."""
    return re.sub(r"(level|code) \d{4}\b", r"\1 N", " ".join(line.split()))


def shown(steps: str) -> list[str]:
    """Return the lines of output that the page shows, but for those with ids, times and scores."""
    blocks = re.findall(r"^```text\n(.*?)^```", steps, re.MULTILINE | re.DOTALL)
    lines = [plain(line) for block in blocks for line in block.splitlines()]
    assert len(lines) > 10
    return [line for line in lines if not re.search(r"━|[0-9a-f]{8}-|^\d\.\d{3} ", line)]
