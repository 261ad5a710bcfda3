"""A real Prometheus and its tool: Debian's package, unpacked, not installed."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import urllib.parse
import urllib.request
from asyncio.subprocess import DEVNULL
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aws_local.child_server import free_port
from aws_local.emulator import PYTHON
from scripts.debian import unpacked

UNPACKED = PYTHON.parents[1] / "prometheus"
PATIENCE_S = 60.0


def program(name: str) -> Path:
    """Return ``prometheus`` or ``promtool``.

    Raises:
        CannotFetch: there is none, and this is no Debian.
    """
    if installed := shutil.which(name):
        return Path(installed)
    return unpacked(["prometheus"], UNPACKED) / "usr" / "bin" / name


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run promtool to its end."""
    return subprocess.run(
        [program("promtool"), *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Prometheus:
    """A running one, asked over HTTP."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    async def get(self, path: str, **query: str) -> Any:
        """Return the data of an answer."""
        url = f"{self.url}{path}?{urllib.parse.urlencode(query)}"

        def ask() -> Any:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
                return json.load(answer)["data"]

        return await asyncio.to_thread(ask)

    async def targets(self) -> list[Any]:
        """Return the targets that have been scraped."""
        try:
            found = await self.get("/api/v1/targets", state="active")
        except OSError:
            return []
        scraped: list[Any] = [
            each for each in found["activeTargets"] if each["health"] != "unknown"
        ]
        return scraped


@asynccontextmanager
async def prometheus(
    folder: Path, rules: Path, jobs: Mapping[str, Sequence[str]]
) -> AsyncIterator[Prometheus]:
    """Run one that scrapes ``jobs`` every second and evaluates ``rules``."""
    configuration = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": list(targets)}]}
            for job, targets in jobs.items()
        ],
    }
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(configuration))  # JSON is YAML.
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        str(program("prometheus")),
        f"--config.file={file}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        stdout=DEVNULL,
        stderr=DEVNULL,
    )
    try:
        yield Prometheus(port)
    finally:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), PATIENCE_S)
