"""``make aws-local``: it starts, is used from outside, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import httpx
import pytest
from aws_local.child_server import HOST, free_port

from tests.support.picture_server import picture
from tests.support.process_tree import ProcessTree

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("aws-shape")]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0
URLS = 20


class Local:
    """A running ``python -m aws_local``, and what it told."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "stderr.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "aws_local"),
                    *("--data", str(folder / "aws"), "--port", str(free_port())),
                ],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                env={**os.environ, "TRIPTYCH_EMBEDDER": "none", "PYTHONUNBUFFERED": "1"},
            )
        self.told: dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.told |= dict(re.findall(r"(TRIPTYCH_\w+)='?([^\s']+)", line.decode()))
            if "TRIPTYCH_DATABASE_URL" in self.told:
                break
        else:
            pytest.fail(f"it did not start: {self.log.read_text()}")
        self.url = self.told["TRIPTYCH_SERVER"]
        self.processes = ProcessTree(self.process.pid)

    def triptych(self, *arguments: str) -> str:
        """Run one of our commands as whoever copied the printed lines would."""
        ended = subprocess.run(
            [sys.executable, "-m", "triptych", *arguments],
            env={**os.environ, **self.told},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def assert_gone(self) -> None:
        """See that no process is left, and that nobody listens any more."""
        assert self.processes.left(PATIENCE_S) == []
        names = ("TRIPTYCH_SERVER", "TRIPTYCH_DATABASE_URL", "TRIPTYCH_READS_URL")
        for place in (urlsplit(self.told[name]) for name in names):
            host, port = place.hostname, place.port
            with socket.socket() as probe:
                assert probe.connect_ex((host, port)) != 0, f"{host}:{port} is still listened at"


@contextmanager
def local(folder: Path) -> Iterator[Local]:
    """Start it; whatever a test leaves is ended."""
    started = Local(folder)
    with started.process:
        try:
            yield started
        finally:
            started.process.kill()
            started.processes.close()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """A web site with a brand's pictures, and the manifest that lists them."""
    folder = tmp_path / "site"
    folder.mkdir()
    for number in range(URLS):
        (folder / f"{number}.png").write_bytes(picture(number))
    handler = partial(SimpleHTTPRequestHandler, directory=folder)
    with ThreadingHTTPServer((HOST, 0), handler) as server:
        base = f"http://{HOST}:{server.server_port}"
        lines = ["url", *(f"{base}/{number}.png" for number in range(URLS))]
        (folder / "list.csv").write_text("\n".join(lines))
        Thread(target=server.serve_forever).start()
        yield f"manifest:{base}/list.csv"
        server.shutdown()


def test_it_is_used_from_outside_and_ends_with_ctrl_c(tmp_path: Path, site: str) -> None:
    with local(tmp_path) as running:
        for process, count in {"api": 2, "live": 2, "worker": 3}.items():
            part = f" triptych {process} "
            assert sum(part in command for command in running.processes.commands) == count, part
        assert httpx.get(f"{running.url}/healthz").status_code == 200
        assert "<script" in httpx.get(running.url).text
        brands = f"{running.url}/api/v1/brands"
        assert httpx.get(brands).status_code == 401
        key = {"Authorization": f"Bearer {running.told['TRIPTYCH_SERVER_KEY']}"}
        assert httpx.get(brands, headers=key).json()["items"] == []
        told = running.triptych("submit", "nike", "--source", site, "--watch", "--json")
        second = subprocess.run(
            [sys.executable, "-m", "aws_local", "--port", running.url.rpartition(":")[2]],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert second.returncode == 1
        assert "is taken" in second.stderr
        run = json.loads(told.splitlines()[-1])
        assert (run["state"], run["done"]) == ("committed", URLS)
        assert httpx.get(f"{brands}/nike/assets", headers=key).json()["items"]
        os.killpg(running.process.pid, signal.SIGINT)  # What Ctrl-C does.
        assert running.process.wait(PATIENCE_S) == 0, running.log.read_text()
        running.assert_gone()


def test_killed_it_leaves_nothing(tmp_path: Path) -> None:
    with local(tmp_path) as running:
        running.process.kill()
        running.assert_gone()
