"""A private server: the API in this process, on a Unix socket that only this process can reach.

The command line uses it if no server is named. It is the same application as a server's, over the
same protocol, so every answer and every error is the same.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

from triptych.access.local_caller import Everybody, Nobody
from triptych.embedded.socket_leftovers import QUIET_S
from triptych.embedded.sockets import PATH_MAX_BYTES, is_served
from triptych.embedded.waits import Say, log_line
from triptych.errors import SettingsError
from triptych.live.websocket_server import server_options
from triptych.messages import Phase
from triptych.presence.presence_store import WORKERS_MAX
from triptych.runtime.asgi_server import BACKLOG, serving
from triptych.runtime.cancellation import cancel_on_failure
from triptych.runtime.periodic import pause
from triptych.settings.settings import Settings
from triptych.wiring.services import Services, connect, reach_database
from triptych.wiring.web_server import open_app, private_authenticator
from triptych.workers.indexer import Indexer

SOCKET = "api.sock"
PREFIX = "triptych-"
RANDOM_CHARS = 8
"""Characters that `tempfile` adds to a prefix."""
CATCH_UP_S = 30.0
"""Seconds that a search across brands spends on indexing commits first: after `triptych run` no
worker is left to index them."""
LOOK_FOR_WORKER_S = 2.0
ELSEWHERE = (
    "Other machines may have workers of this database: use `triptych run`, which has its own."
)


@asynccontextmanager
async def open_private_server(
    settings: Settings,
    *,
    caught_up: bool = False,
    stand_in: Sequence[Phase] = (),
    say: Say = log_line,
) -> AsyncIterator[Path]:
    """Connect to the database and serve the application; yield the socket's path.

    ``caught_up``: first add commits to the index for searches across brands, for at most
    `CATCH_UP_S`. ``stand_in``: do the work of these phases as long as no other worker does; phase 3
    includes exports and deletions. ``say`` shows the user one line for what takes long.

    Raises:
        DatabaseUnavailable, QueueUnavailable, StoreUnavailable, SettingsError: names what cannot
            be used and the remedy.
    """
    async with reach_database(settings, say=say) as dsn, connect(settings, dsn) as services:
        if caught_up:
            with suppress(TimeoutError):
                async with asyncio.timeout(CATCH_UP_S):
                    await Indexer(services.stores.search).catch_up()
        async with serve_privately(services) as path:
            if not stand_in:
                yield path
                return
            async with _standing_in(services, stand_in):
                yield path


@asynccontextmanager
async def serve_privately(services: Services) -> AsyncIterator[Path]:
    """Serve the application; yield the path of its socket.

    No key is needed: the socket is in a new folder that only this user account can enter.

    Raises:
        SettingsError, StoreUnavailable: names what cannot be used and the remedy.
    """
    authenticator = private_authenticator(services)
    # Of another database, workers on other machines read what is named here.
    callers = Everybody() if services.settings.embedded else Nobody(ELSEWHERE)
    with _private_socket() as (listening, path):
        async with (
            # A command shows what it has just done: MongoDB may not have that yet.
            open_app(services, authenticator, callers=callers, projected=False) as app,
            serving(app, listening, **server_options()),
        ):
            yield path


@contextmanager
def _private_socket() -> Iterator[tuple[socket.socket, Path]]:
    parent = _short_folder()
    _remove_leftovers(Path(parent))
    with (
        tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening,
    ):
        path = Path(folder, SOCKET)
        listening.bind(str(path))
        listening.listen(BACKLOG)
        yield listening, path


def _remove_leftovers(parent: Path) -> None:
    """Remove the folders of this account's private servers that were killed."""
    for folder in parent.glob(f"{PREFIX}{'?' * RANDOM_CHARS}"):
        with suppress(OSError):
            found = folder.lstat()
            old = time.time() - found.st_mtime > QUIET_S
            own = found.st_uid == os.geteuid() and (folder / SOCKET).is_socket()
            if old and own and not is_served(folder / SOCKET):
                (folder / SOCKET).unlink()
                folder.rmdir()


def _short_folder() -> str:
    """Return a folder for temporary folders in which a socket's path is short enough."""
    longest = f"/{PREFIX}{'x' * RANDOM_CHARS}/{SOCKET}"
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108
        if len(os.fsencode(parent + longest)) <= PATH_MAX_BYTES and os.access(parent, os.W_OK):
            return parent
    raise SettingsError(
        "The path of the folder for temporary files is too long for a Unix socket.",
        field="TMPDIR",
        remedy=f"Use a path of at most {PATH_MAX_BYTES - len(longest)} bytes.",
    )


@asynccontextmanager
async def _standing_in(services: Services, phases: Sequence[Phase]) -> AsyncIterator[None]:
    stop = asyncio.Event()
    working = asyncio.create_task(_stand_in(services, phases, stop))
    try:
        async with cancel_on_failure(working):
            yield
    finally:
        stop.set()
        await asyncio.wait([working])
    working.result()


async def _stand_in(services: Services, phases: Sequence[Phase], stop: asyncio.Event) -> None:
    """Serve phases if no worker serves one of them, or as soon as the last one is gone."""
    # Imported here because most commands need no worker.
    from triptych.wiring.worker_process import open_worker

    while not stop.is_set():
        served = await _served(services)
        if not served.issuperset(phases):
            async with open_worker(services, phases) as worker:
                await worker.run(stop)
            return
        await pause(stop, LOOK_FOR_WORKER_S)


async def _served(services: Services) -> frozenset[str]:
    """Return the phases of the workers that are alive and not stopping."""
    seen = await services.stores.presence.workers(limit=WORKERS_MAX)
    working = [each for each in seen if each.alive and not each.stopping]
    return frozenset(phase for each in working for phase in each.phases)
