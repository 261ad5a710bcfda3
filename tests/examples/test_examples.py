"""The examples, run as they stand against a real server; the guide shows them as they are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.postgres import PostgresServer
from tests.support.served_api import ServedApi, served_api

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
GUIDE = ROOT / "docs" / "guides" / "client.md"
PATIENCE_S = 120.0


@pytest.fixture(scope="module")
def served(
    postgres_server: PostgresServer,
    migrated_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServedApi]:
    data = tmp_path_factory.mktemp("examples")
    with served_api(postgres_server, migrated_template, data) as served:
        yield served


def run(*command: str, folder: Path, **environment: str) -> str:
    """Run an example to its end; return what it printed."""
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, **environment},
        timeout=PATIENCE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_the_examples_in_python_work(served: ServedApi, tmp_path: Path) -> None:
    urls = [f"{served.pictures}/x/{n}.png" for n in (1, 2, 49)]
    first = str(EXAMPLES / "first_brand.py")
    out = run(sys.executable, first, served.url, *urls, folder=tmp_path)
    assert "committed: 3 of 3 items" in out
    assert {f"asset: {url} 48×48" for url in urls[:2]} <= set(out.splitlines())
    assert "failed: 1 not_found." in out
    out = run(
        sys.executable,
        str(EXAMPLES / "notebook.py"),
        folder=tmp_path,
        TRIPTYCH_SERVER=served.url,
    )
    assert "'group_count': 0" in out
    assert re.search(r"image/png\s+2\s", out)
    assert (tmp_path / "acme.parquet").stat().st_size > 0

    runs = served.call(served.api.get("/runs?brand=acme&limit=1")).json["items"]
    run_id = str(runs[0]["id"])
    script = str(EXAMPLES / "why_waiting.py")
    out = run(sys.executable, script, served.url, run_id, folder=tmp_path)
    assert "0 delayed, 0 sent, 1 failed" in out
    unknown = subprocess.run(
        [sys.executable, script, served.url, str(uuid4())],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert unknown.returncode == 1
    assert "RunNotFound" in unknown.stderr


def test_the_example_in_javascript_works(served: ServedApi, tmp_path: Path) -> None:
    urls = [f"{served.pictures}/x/{n}.png" for n in (3, 4)]
    flag = "--experimental-websocket"
    out = run(
        *("node", "--no-warnings", flag, str(EXAMPLES / "follow.mjs"), served.url, *urls),
        folder=tmp_path,
    )
    lines = out.splitlines()
    assert "committed: 2 of 2 items" in lines
    assert set(lines[-2:]) == {f"asset: {url} 48×48" for url in urls}


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.*")), ids=lambda path: path.name)
def test_the_guide_shows_the_examples_as_they_are(path: Path) -> None:
    shown = re.findall(r"^```\w+\n(.*?)^```", GUIDE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert path.read_text("utf-8") in shown, f"{path.name} is not in {GUIDE.name}, or is different"
