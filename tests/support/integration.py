"""The marker `integration`: given to the tests of services, and required of all that start one.

A test that uses a fixture of `SERVICES` is marked by that. One that starts a process or opens a
socket by itself carries the marker, or fails. Not seen are other threads than the test's, and
children of `multiprocessing`.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext

import pytest

SERVICES = frozenset(
    {"postgres_server", "emulator", "mongodb_server", "site", "new_cli", "dashboard"}
)
"""Fixtures that stand for a database, a server or a process."""
SLOW = ("integration", "prove", "aws")
"""The fast loop leaves out tests of these markers."""
EVENTS = frozenset(
    {"subprocess.Popen", "os.posix_spawn", "os.fork", "socket.bind", "socket.connect"}
)
"""Audit events of what only a marked test may do."""

_recordings: list[list[str]] = []
"""Of the calls of `no_services` that are under way, the innermost last."""


def _audit(
    event: str,
    _: tuple[object, ...],
    events: frozenset[str] = EVENTS,  # The module's names are gone when the interpreter ends.
) -> None:
    if event not in events or not _recordings:
        return
    if threading.current_thread() is threading.main_thread():
        _recordings[-1].append(event)


sys.addaudithook(_audit)


@contextmanager
def no_services() -> Iterator[None]:
    """Raise `AssertionError` at the end if a process was started or a socket opened."""
    recorded: list[str] = []
    _recordings.append(recorded)
    try:
        yield
    finally:
        _recordings.pop()
    assert not recorded, f"mark this test with `integration`: it did {sorted(set(recorded))}"


def _is_slow(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) for name in SLOW)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses a service, before tests are chosen by marker."""
    for item in items:
        if isinstance(item, pytest.Function) and SERVICES & set(item.fixturenames):
            item.add_marker(pytest.mark.integration)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Let the fixtures of an unmarked test start nothing."""
    with nullcontext() if _is_slow(item) else no_services():
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Let an unmarked test start nothing."""
    with nullcontext() if _is_slow(item) else no_services():
        return (yield)
