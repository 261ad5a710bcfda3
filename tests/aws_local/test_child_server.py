"""A server as a child process: what is said when it is missing, ends or does not answer."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from aws_local.child_server import HOST, ChildServer, taken

from aws_local import child_server

pytestmark = pytest.mark.integration

SERVES = f"import http.server as s; s.test(port=int(__import__('sys').argv[1]), bind='{HOST}')"
ENDS = "print('no more room'); raise SystemExit(3)"
HEARS_NOTHING = "import signal, time; signal.signal(15, signal.SIG_IGN); " + SERVES


class Pages(ChildServer):
    name = "Pages"
    program = sys.executable
    code = SERVES

    def command(self) -> Sequence[str]:
        return [self.program, "-c", self.code, str(self.port)]

    def answers(self) -> bool:
        return taken(self.port)


def test_it_starts_again_at_the_same_port(tmp_path: Path) -> None:
    with Pages(tmp_path / "new") as server:
        first, port = server.pid, server.port
        server.stop(signal.SIGKILL)
        assert server.pid is None
        assert not taken(port)
        server.start()
        assert server.pid != first
        assert (server.port, taken(port)) == (port, True)
    assert not taken(port)
    server.stop()


def test_one_that_ends_is_an_error_that_names_its_log(tmp_path: Path) -> None:
    server = Pages(tmp_path)
    server.code = ENDS
    with pytest.raises(RuntimeError, match=r"Pages does not answer; see .*pages\.log"):
        server.start()
    assert server.pid is None
    assert "no more room" in server.log.read_text()


def test_one_that_is_missing_is_an_error_that_says_how_to_install_it(tmp_path: Path) -> None:
    server = Pages(tmp_path)
    server.program = str(tmp_path / ".venv-pages" / "bin" / "python")
    with pytest.raises(RuntimeError, match=r"run `make \.venv-pages/\.ready`"):
        server.start()


def test_one_that_does_not_hear_ends_by_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child_server, "STOP_S", 0.2)
    server = Pages(tmp_path)
    server.code = HEARS_NOTHING
    server.start()
    server.stop()
    assert not taken(server.port)
