"""Dumping and loading the application's database with Postgres' own programs.

Both are streams through a pipe: a program whose process of Triptych is killed ends with it.
"""

from __future__ import annotations

import asyncio
import os
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress

from triptych.embedded.binaries import Binaries
from triptych.embedded.cluster import INHERITED
from triptych.embedded.errors import PostgresServerError

CHUNK_BYTES = 1024 * 1024
COMPRESSION = 1
"""gzip's level. Embeddings, most of the bytes, hardly compress; higher levels only take longer."""
SILENT_S = 900.0
"""Seconds for which ``pg_dump`` may write nothing: it sorts nothing, but may wait for a lock."""
LOCK_WAIT_S = 60.0
LOAD_S = 24 * 3600.0
"""Seconds that ``pg_restore`` may take; it builds the indexes, too."""
END_S = 10.0
"""Seconds that a program gets to end when it is asked to."""
SAID_MAX_CHARS = 1000
LOAD_OPTIONS = "-c maintenance_work_mem=256MB -c idle_in_transaction_session_timeout=0"
"""Of the session that loads: indexes of embeddings are built in memory as long as they fit."""


async def dump(binaries: Binaries, dsn: str, *, snapshot: str) -> AsyncIterator[bytes]:
    """Yield a dump of the database in ``pg_dump``'s custom format, as of an exported snapshot.

    Owners and privileges are not in it: they are those of the cluster that it is loaded into.

    Raises:
        PostgresServerError: it failed; with what it said. The bytes so far are no dump.
    """
    command = [
        binaries.program("pg_dump"),
        *("--format=custom", f"--compress=gzip:{COMPRESSION}", f"--snapshot={snapshot}"),
        *("--no-owner", "--no-privileges", "--no-comments", "--no-password"),
        *(f"--lock-wait-timeout={LOCK_WAIT_S:g}s", f"--dbname={dsn}"),
    ]
    async with _started(command) as (process, said):
        assert process.stdout is not None
        while True:
            try:
                chunk = await asyncio.wait_for(process.stdout.read(CHUNK_BYTES), SILENT_S)
            except TimeoutError as error:
                raise PostgresServerError(
                    f"pg_dump has written nothing for {SILENT_S:.0f} s."
                ) from error
            if not chunk:
                break
            yield chunk
        await _check(process, said, "pg_dump", END_S)


async def load(binaries: Binaries, dsn: str, chunks: AsyncIterator[bytes]) -> None:
    """Load a dump into an empty database, in one transaction: all of it or nothing.

    Raises:
        PostgresServerError: it failed; with what it said.
    """
    command = [
        binaries.program("pg_restore"),
        *("--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"),
        *("--no-comments", "--no-password", f"--dbname={dsn}"),
    ]
    async with _started(command, PGOPTIONS=LOAD_OPTIONS) as (process, said):
        assert process.stdin is not None
        # If it has ended, what it said tells more than the broken pipe.
        with suppress(BrokenPipeError, ConnectionResetError):
            async for chunk in chunks:
                process.stdin.write(chunk)
                await asyncio.wait_for(process.stdin.drain(), LOAD_S)
            process.stdin.close()
            await process.stdin.wait_closed()
        await _check(process, said, "pg_restore", LOAD_S)


async def _check(
    process: Process, said: asyncio.Task[str], program: str, patience_s: float
) -> None:
    try:
        code = await asyncio.wait_for(process.wait(), patience_s)
    except TimeoutError as error:
        raise PostgresServerError(f"{program} did not end within {patience_s:.0f} s.") from error
    if code != 0:
        raise PostgresServerError(f"{program} ended with {code}: {await said}")


@asynccontextmanager
async def _started(
    command: list[str], **variables: str
) -> AsyncIterator[tuple[Process, asyncio.Task[str]]]:
    """Run a program with pipes, and collect what it says; end it with the block."""
    environment: Mapping[str, str] = {
        name: os.environ[name] for name in INHERITED if name in os.environ
    }
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            env={**environment, "LC_ALL": "C", **variables},
            start_new_session=True,
        )
    except OSError as error:
        raise PostgresServerError(f"{command[0]} cannot be run ({error}).") from error
    said = asyncio.create_task(_said(process))
    try:
        yield process, said
    finally:
        await _end(process)
        await asyncio.gather(said, return_exceptions=True)


async def _said(process: Process) -> str:
    """Return the end of what a program writes to stderr, as one line."""
    assert process.stderr is not None
    end = ""
    while chunk := await process.stderr.read(CHUNK_BYTES):
        end = (end + chunk.decode(errors="replace"))[-SAID_MAX_CHARS:]
    return " ".join(end.split())


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), END_S)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
