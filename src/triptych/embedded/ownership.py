"""Who runs a data folder's database, and who uses one that another process runs.

A *lasting* owner (`triptych up`, `triptych run`) runs it until it is stopped. A command that needs
it only for itself is a *guest* of the owner that there is, also while that one still starts. Where
there is none it becomes a *brief* owner: it gives the folder up to the first lasting owner that
asks, and goes on as that one's guest. So `triptych up` never fails for a command that was faster.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager

import structlog

from triptych.embedded.data_folder import DataFolder, Owner
from triptych.embedded.errors import DataFolderInUse, PostgresServerError
from triptych.embedded.server import EmbeddedPostgres, answers
from triptych.embedded.sockets import read_dsn
from triptych.embedded.waits import Say, Wait, log_line

HAND_OVER_S = 60.0
"""Seconds in which a brief owner must have given the folder up."""
FINISH_S = 5.0
"""Seconds that a brief owner's command has to end by itself, when the folder is asked for."""
GUESTS_S = 10.0
"""Seconds for which an owner that is done waits for its guests; then one may take over."""
READY_S = 600.0
"""Seconds in which an owner that starts must serve its guests: an initdb, a recovery and the
migrations are within it."""
LOOK_EVERY_S = 0.1

Make = Callable[[], EmbeddedPostgres]
"""Makes the server, not yet started."""
Prepare = Callable[[str], Awaitable[object]]
"""Brings the schema of the database at a DSN up to date, before others use it."""

_logger = structlog.get_logger(__name__)


@asynccontextmanager
async def own(
    folder: DataFolder, make: Make, prepare: Prepare, *, say: Say = log_line
) -> AsyncIterator[EmbeddedPostgres]:
    """Own the folder and run its database for as long as the block runs.

    Raises:
        DataFolderInUse: another lasting owner has it, or a brief one does not give it up within
            `HAND_OVER_S`.
        PostgresServerError: the database cannot be started.
    """
    await _take(folder, say)
    try:
        async with make() as server:
            await prepare(server.dsn)
            folder.mark_ready()
            try:
                yield server
            finally:
                # A command that is being answered is not cut off.
                folder.mark_stopping()
                await _until_guests_end(folder, say)
    finally:
        folder.release()


async def _take(folder: DataFolder, say: Say) -> None:
    """Become the lasting owner; ask a brief one for the folder."""
    try:
        folder.acquire()
    except DataFolderInUse:
        owner = folder.owner() or "another process"
        with folder.ask():
            wait = Wait(f"for {owner} to give up {folder.path}", HAND_OVER_S, say)
            await _take_when_released(folder, wait)


async def _take_when_released(folder: DataFolder, wait: Wait) -> None:
    while True:
        try:
            folder.acquire(grace_s=0.0)
        except DataFolderInUse:
            owner = folder.owner()
            if (owner is not None and not owner.brief) or not wait.goes_on():
                raise
        else:
            return
        await _pause()


async def _until_guests_end(folder: DataFolder, say: Say) -> None:
    """Wait for `GUESTS_S` at most, and not when another process asks for the folder."""
    wait = Wait("for other commands that use the database", GUESTS_S, say)
    while folder.visited() and not folder.asked() and wait.goes_on():
        await _pause()


async def _pause() -> None:
    """Wait before another look at the locks of other processes, which notify of nothing."""
    await asyncio.sleep(LOOK_EVERY_S)


class DatabaseUse:
    """The use of a data folder's database: as the guest of its owner, or as its brief owner."""

    def __init__(
        self, folder: DataFolder, make: Make, prepare: Prepare, *, may_own: bool, say: Say
    ) -> None:
        self.dsn = ""
        """The database's address, once `start` has returned."""
        self._folder = folder
        self._make = make
        self._prepare = prepare
        self._may_own = may_own
        self._say = say
        self._server: EmbeddedPostgres | None = None
        self._guest = ExitStack()
        self._brief_host: Owner | None = None

    async def start(self) -> None:
        """Return when the database can be used.

        Raises:
            PostgresServerError: it cannot be started; or an owner does not serve it in `READY_S`.
        """
        wait = Wait("", READY_S, self._say)
        while True:
            if await self._join(wait) or await self._become_owner():
                return
            if not wait.goes_on():
                raise PostgresServerError(
                    f"The database in {self._folder.path} is not ready after {READY_S:.0f} s "
                    f"of waiting {wait.what}.",
                    remedy="See its log, or stop the process and try again.",
                )
            await _pause()

    async def _join(self, wait: Wait) -> bool:
        """Become the guest of an owner whose database answers; return whether that succeeded."""
        owner = self._folder.owner()
        if owner is None:
            if not self._may_own:
                raise PostgresServerError(
                    f"The process that ran the database in {self._folder.path} has ended."
                )
            return False
        wait.what = f"for {owner} to serve the database in {self._folder.path}"
        with ExitStack() as guest:
            guest.enter_context(self._folder.visit())
            dsn = self._running_dsn() if owner.ready else None
            if dsn is None or not await answers(dsn):
                return False
            self._guest = guest.pop_all()
        self._brief_host = owner if owner.brief else None
        self._serve_at(dsn)
        return True

    def _running_dsn(self) -> str | None:
        try:
            return read_dsn(self._folder.path)
        except PostgresServerError:
            return None  # The owner writes the file again if it was removed.

    async def _become_owner(self) -> bool:
        """Run the database until it is asked for; return False if another process is to run it."""
        if self._folder.asked():
            return False
        try:
            self._folder.acquire(brief=True, grace_s=0.0)
        except DataFolderInUse:
            return False
        self._server = self._make()
        starting = asyncio.create_task(self._start_server(self._server))
        try:
            while not starting.done() and not self._folder.asked():
                await asyncio.wait({starting}, timeout=LOOK_EVERY_S)
            if starting.done():
                starting.result()
                self._folder.mark_ready()
                return True
        except BaseException:
            await self._end(starting)
            raise
        await self._end(starting)
        return False

    async def _start_server(self, server: EmbeddedPostgres) -> None:
        await server.start()
        await self._prepare(server.dsn)
        self._serve_at(server.dsn)

    async def _end(self, starting: asyncio.Task[None]) -> None:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await self._release()

    def _serve_at(self, dsn: str) -> None:
        if self.dsn not in {"", dsn}:
            raise PostgresServerError(
                "Another process has taken over the database, and serves it at another address.",
                remedy="Run the command again.",
            )
        self.dsn = dsn

    async def watch(self) -> None:
        """Keep the database usable at `dsn`; return when this needs nothing more of this process.

        Raises:
            PostgresServerError: it is lost for good.
        """
        while True:
            if self._server is not None:
                if not await self._until_asked(self._server):
                    return
                _logger.info("data_folder_handed_over", data=str(self._folder.path))
                await self._release()
            elif self._brief_host is not None:
                while self._folder.owner() == self._brief_host:
                    await _pause()
                self._guest.close()
            else:
                return
            await self.start()

    async def _until_asked(self, server: EmbeddedPostgres) -> bool:
        """Return True when the folder is to be given up, False when the server is stopped."""
        running = asyncio.create_task(server.watch())
        try:
            while not running.done() and not self._folder.asked():
                await asyncio.wait({running}, timeout=LOOK_EVERY_S)
            if not running.done():
                # Most commands end in this time, and nothing of theirs is interrupted.
                await asyncio.wait({running}, timeout=FINISH_S)
            if running.done():
                running.result()
                return False
            return True
        finally:
            running.cancel()

    async def close(self) -> None:
        """End the use; a brief owner stops the database once its guests are done, or after a while.

        Raises:
            PostgresServerError: it does not end.
        """
        if self._server is not None:
            await _until_guests_end(self._folder, self._say)
        await self._release()

    async def _release(self) -> None:
        self._guest.close()
        if self._server is not None:
            # If this is interrupted, the folder is still owned, and `close` stops it again.
            await self._server.stop()
            self._server = None
        self._folder.release()


@asynccontextmanager
async def use(
    folder: DataFolder,
    make: Make,
    prepare: Prepare,
    *,
    may_own: bool = True,
    say: Say = log_line,
) -> AsyncIterator[DatabaseUse]:
    """Use the folder's database for as long as the block runs, whichever process runs it.

    The caller runs `DatabaseUse.watch` meanwhile.

    Args:
        folder: the data folder.
        make: makes the server, if this process becomes the brief owner.
        prepare: brings the schema up to date then.
        may_own: False for the child of an owner, which must not take its place.
        say: shows the user what is waited for.

    Raises:
        PostgresServerError: the database cannot be started, is not served in `READY_S`, or no
            process runs it and this one must not.
    """
    using = DatabaseUse(folder, make, prepare, may_own=may_own, say=say)
    try:
        await using.start()
        yield using
    finally:
        await using.close()
