"""Stopping a postmaster, whatever it is doing: fast if that gets somewhere, else by force.

A fast shutdown ends the sessions and writes a checkpoint, so that the next start has nothing to
recover. It is not always possible: Postgres 18.4 never ends if it is asked for one while it
recovers. Force costs nothing that was committed, only the next start's recovery.

Everything here blocks; call it off the event loop.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from typing import Protocol

from triptych.embedded.cluster import Cluster, State, Status
from triptych.embedded.errors import PostgresServerError
from triptych.embedded.waits import Say, Wait

SESSIONS_S = 5.0
"""Seconds in which a fast shutdown must have ended the sessions."""
CHECKPOINT_S = 120.0
"""Seconds for the checkpoint after that: up to ``max_wal_size`` of pages are written."""
IMMEDIATE_S = 10.0
"""Seconds of an immediate shutdown; Postgres kills its own processes after five of them."""
KILL_S = 10.0
LOOK_EVERY_S = 0.05


class Stoppable(Protocol):
    """A postmaster that can be sent signals."""

    pid: int

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; no change if it has ended."""

    def ended(self) -> bool:
        """Return whether it has ended."""


class Orphan:
    """A postmaster that outlived the process that started it."""

    def __init__(self, cluster: Cluster, pid: int) -> None:
        self.pid = pid
        self._cluster = cluster

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless its pid is another process' by now."""
        self._cluster.send(number, postmasters=True)

    def ended(self) -> bool:
        """Return whether no postmaster runs on the cluster."""
        return not self._cluster.serving().postmasters


def shut_down(postmaster: Stoppable, cluster: Cluster, say: Say) -> None:
    """Stop a postmaster, by force if it does not stop otherwise.

    Raises:
        PostgresServerError: even SIGKILL does not end it.
    """
    limit_s = SESSIONS_S + CHECKPOINT_S + IMMEDIATE_S + KILL_S
    wait = Wait(f"for Postgres (process {postmaster.pid}) to stop", limit_s, say)
    if cluster.status(postmaster.pid) is not Status.STARTING:
        postmaster.send(signal.SIGINT)
    if _until(postmaster, wait, lambda: _gets_on(postmaster, cluster, wait)):
        return
    for number, seconds in ((signal.SIGQUIT, IMMEDIATE_S), (signal.SIGKILL, KILL_S)):
        until = wait.waited_s + seconds
        postmaster.send(number)
        if _until(postmaster, wait, lambda until=until: wait.waited_s < until):  # type: ignore[misc]
            cluster.end_lingering()
            return
    raise PostgresServerError(
        f"Postgres (process {postmaster.pid}) still runs in {cluster.folder} and does not stop.",
        remedy=f"End process {postmaster.pid}.",
    )


def _gets_on(postmaster: Stoppable, cluster: Cluster, wait: Wait) -> bool:
    """Return whether a fast shutdown makes progress."""
    state = cluster.state()
    if state is State.RECOVERING or cluster.status(postmaster.pid) is Status.STARTING:
        return False
    if state is State.SHUTTING_DOWN:
        return wait.waited_s < SESSIONS_S + CHECKPOINT_S
    return wait.waited_s < SESSIONS_S


def _until(postmaster: Stoppable, wait: Wait, goes_on: Callable[[], bool]) -> bool:
    """Wait until it has ended, for as long as ``goes_on``; return whether it has."""
    while not postmaster.ended():
        if not goes_on():
            return postmaster.ended()
        wait.goes_on()
        time.sleep(LOOK_EVERY_S)
    return True
