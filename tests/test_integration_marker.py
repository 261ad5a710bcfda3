"""Who carries the marker `integration`, and that a forgotten one is noticed."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from tests.support.integration import no_services


def test_a_test_on_postgres_is_marked_by_its_fixture(
    request: pytest.FixtureRequest, fresh_dsn: str
) -> None:
    assert request.node.get_closest_marker("integration")


def test_others_are_not_marked(request: pytest.FixtureRequest) -> None:
    assert not request.node.get_closest_marker("integration")


@pytest.mark.integration
def test_a_process_without_the_marker_fails() -> None:
    with pytest.raises(AssertionError, match=r"subprocess\.Popen"), no_services():
        subprocess.run([sys.executable, "-c", ""], check=True)


@pytest.mark.integration
def test_a_socket_without_the_marker_fails() -> None:
    with pytest.raises(AssertionError, match=r"socket\.bind"), no_services():
        socket.create_server(("127.0.0.1", 0)).close()
