"""Storing what is uploaded, and giving its readers a local copy."""

from __future__ import annotations

import asyncio
import tempfile
import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from triptych.errors import (
    BadInput,
    BodyTooLarge,
    ObjectMissing,
    SourceRefused,
    SourceUnavailable,
    StoreUnavailable,
    TooManyRequests,
)
from triptych.objects import CHUNK_BYTES, ObjectStore
from triptych.runtime.object_file import ObjectFile
from triptych.uploads.upload_store import UploadNotFound, UploadStore, upload_not_found

PREFIX = "uploads/"
"""What the keys of uploads' objects begin with. Each upload has an object of its own, so that no
other row can come to need it while it is deleted."""
AT_ONCE = 4
"""Uploads that one server takes at a time."""
TURN_S = 30.0
"""Seconds for which an upload waits for others."""
RETRY_AFTER_S = 30.0
UPLOAD_S = 3600.0
"""Seconds in which an upload is complete: 256 MiB at 75 kB/s."""
ORPHAN_S = 2 * UPLOAD_S
"""Age in seconds from which an object without a row is none of an upload under way. A store may say
that an object is as old as the beginning of its upload."""
NAME_MAX_CHARS = 200
"""Characters of a file's name that are kept."""
DEFAULT_NAME = "list"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A file that is stored, and has no row yet."""

    object_key: str
    size_bytes: int
    sha256: bytes


class UploadFiles:
    """The bytes of uploads: streamed into the object store, and from there into temporary files.

    An upload under way takes a few parts of memory (`triptych.objects.open_writer`); one that
    breaks off leaves no object. What a process leaves that is killed, the collector deletes.
    """

    def __init__(self, store: UploadStore, objects: ObjectStore, *, max_bytes: int) -> None:
        """``max_bytes``: the most bytes of one upload."""
        self._store = store
        self._objects = objects
        self._max_bytes = max_bytes
        self._slots = asyncio.Semaphore(AT_ONCE)

    def check_size(self, declared: str | None) -> None:
        """Refuse an upload by the ``Content-Length`` that it declares, before it is read.

        Raises:
            BodyTooLarge: it is too long.
            BadInput: it is empty.
        """
        if declared is None or not declared.isdigit():
            return  # It is counted as it comes.
        if int(declared) > self._max_bytes:
            raise self._too_large()
        if int(declared) == 0:
            raise _empty()

    async def receive(self, chunks: AsyncIterator[bytes]) -> Received:
        """Store a file, durably.

        Raises:
            BodyTooLarge: it has more bytes than an upload may have.
            BadInput: it is empty, or was not complete within `UPLOAD_S`.
            TooManyRequests: others are being stored.
            StoreUnavailable: it could not be stored.
        """
        try:
            async with asyncio.timeout(TURN_S):
                await self._slots.acquire()
        except TimeoutError as error:
            raise TooManyRequests(
                f"{AT_ONCE} uploads are under way.", retry_after_s=RETRY_AFTER_S
            ) from error
        try:
            return await self._receive(chunks)
        finally:
            self._slots.release()

    async def _receive(self, chunks: AsyncIterator[bytes]) -> Received:
        key = f"{PREFIX}{uuid4()}"
        file = await asyncio.to_thread(self._objects.open_file, key)
        try:
            try:
                async with asyncio.timeout(UPLOAD_S):
                    await self._write(file, chunks)
            except TimeoutError as error:
                raise BadInput(
                    f"The upload was not complete within {UPLOAD_S:g} s.",
                    field="body",
                    remedy="Compress the file with gzip or zip: it is unpacked when it is read.",
                ) from error
            if not file.size_bytes:
                raise _empty()
            await asyncio.to_thread(file.close)
        except BaseException:
            await asyncio.shield(self._abandon(file, key))
            raise
        return Received(key, file.size_bytes, file.sha256)

    async def _write(self, file: ObjectFile, chunks: AsyncIterator[bytes]) -> None:
        held = bytearray()
        size = 0
        async for chunk in chunks:
            size += len(chunk)
            if size > self._max_bytes:
                raise self._too_large()
            held += chunk
            if len(held) >= CHUNK_BYTES:
                await asyncio.to_thread(file.write, held)
                held = bytearray()
        if held:
            await asyncio.to_thread(file.write, held)

    async def _abandon(self, file: ObjectFile, key: str) -> None:
        # Closing it names it, with the bytes so far.
        with suppress(StoreUnavailable):
            await asyncio.to_thread(file.close)
        await self.discard(key)

    async def discard(self, key: str) -> None:
        """Delete a stored file. If the store does not answer, the collector does it later."""
        try:
            await self._objects.delete([key])
        except StoreUnavailable as error:
            log.warning("upload_left", object=key, error=str(error))

    @asynccontextmanager
    async def local(self, upload_id: UUID) -> AsyncIterator[tuple[str, Path]]:
        """Lend an upload as a file on this machine, with its name; it counts as used now.

        Raises:
            SourceRefused: there is no such upload, or its bytes are gone or damaged.
            SourceUnavailable: the store does not answer.
        """
        try:
            upload = await self._store.use_upload(upload_id)
        except UploadNotFound as error:
            raise SourceRefused(error.message, remedy=error.remedy) from error
        with tempfile.NamedTemporaryFile(prefix="triptych-upload-") as file:
            try:
                async for chunk in self._objects.stream(
                    upload.object_key, size_bytes=upload.size_bytes, sha256=upload.sha256
                ):
                    await asyncio.to_thread(file.write, chunk)
                await asyncio.to_thread(file.flush)
            except ObjectMissing as error:
                raise SourceRefused(
                    f"The bytes of upload {upload_id} ({upload.name}) are gone or damaged.",
                    remedy=upload_not_found(upload_id).remedy,
                ) from error
            except StoreUnavailable as error:
                raise SourceUnavailable(error.message, remedy=error.remedy) from error
            except OSError as error:
                raise SourceUnavailable(
                    f"There is no room for {upload.size_bytes} bytes in {tempfile.gettempdir()} "
                    f"({error.strerror}).",
                    remedy="Give that folder more room, or gather fewer brands at a time.",
                ) from error
            yield upload.name, Path(file.name)

    def _too_large(self) -> BodyTooLarge:
        return BodyTooLarge(
            f"An upload has at most {self._max_bytes} bytes.",
            remedy="Compress the file with gzip or zip, split it, or raise "
            "TRIPTYCH_UPLOAD_MAX_BYTES of the server.",
        )


def clean_name(given: str) -> str:
    """Return a file's name for people: without folders and what cannot be shown, and bounded."""
    plain = given.replace("\\", "/").rpartition("/")[2]
    shown = "".join(c for c in unicodedata.normalize("NFC", plain) if c.isprintable()).strip()
    if len(shown) > NAME_MAX_CHARS:
        stem, dot, ending = shown.rpartition(".")
        kept = f"{dot}{ending}" if stem and len(ending) < NAME_MAX_CHARS // 2 else ""
        shown = f"{shown[: NAME_MAX_CHARS - len(kept)]}{kept}"
    return shown if shown.strip(".") else DEFAULT_NAME


def _empty() -> BadInput:
    return BadInput(
        "The file is empty.", field="body", remedy="Send the file's bytes as the request's body."
    )
