"""Decoding in child processes: if a picture kills its decoder, only that picture fails.

Image libraries are written in C and read untrusted bytes. A decoder is a child process in a sandbox
(`triptych.runtime.sandbox`), with a memory limit and without the worker's environment. It gets one
picture at a time, with a deadline, and is replaced when it dies.
"""

from __future__ import annotations

import math
import queue
import signal
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TypeVar

import structlog

from triptych.errors import DecoderLost, PermanentItemError, Unavailable
from triptych.media.decoded import Decoded
from triptych.media.exchange import (
    ANSWER,
    REQUEST,
    Wanted,
    read_facts_answer,
    read_greeting,
    read_picture,
    read_thumbnail,
)
from triptych.media.file_facts import FileFacts
from triptych.model import Reason
from triptych.runtime.sandbox import sandbox_environment, start_sandboxed
from triptych.telemetry.metrics import DECODERS_LOST

DEADLINE_S = 20.0
"""For one picture; the largest one allowed takes a few seconds."""
MEMORY_MAX_BYTES = 4 * 1024**3
"""Address space of one decoder: twice what a hundred million pixels need in the worst mode."""
ANSWER_MAX_BYTES = 64 * 1024**2
END_S = 5.0
RETIRED_S = 1200.0
"""Seconds of work after which a decoder is replaced, long before its `LIFETIME_CPU_S` are over."""
BUFFER_BYTES = 1024 * 1024
"""Socket buffer: most pictures and answers fit, so that neither side waits for the other."""
ALLOCATOR = {
    "MALLOC_TOP_PAD_": str(16 * 1024**2),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024**2),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024**2),
}
"""glibc returns every picture's memory and faults it in again for the next: a third of the time was
spent there. With these settings a decoder keeps up to 64 MiB."""

NOTHING: Mapping[str, str] = MappingProxyType({})

T = TypeVar("T")

log = structlog.get_logger(__name__)


def decoder_environment() -> dict[str, str]:
    """Return a decoder's environment variables."""
    return {**sandbox_environment(), **ALLOCATOR}


class Decoders:
    """``count`` decoders, started when first needed. Thread-safe.

    ``max_missing`` is the share of rows, 0..1, that a picture may lack; see
    `triptych.media.decode.decode`.
    """

    def __init__(
        self,
        count: int,
        *,
        max_missing: float = 0.0,
        deadline_s: float = DEADLINE_S,
        memory_max_bytes: int = MEMORY_MAX_BYTES,
    ) -> None:
        self._max_missing = max_missing
        self._deadline_s = deadline_s
        self._memory_max_bytes = memory_max_bytes
        self._idle: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(count):
            self._idle.put(None)
        self._count = count
        self._incomplete: tuple[str, ...] = ()

    def sandbox_lacks(self) -> tuple[str, ...]:
        """Return what decoders' sandbox lacks on this machine, in words. Blocks.

        Raises:
            Unavailable: decoders do not start here.
        """
        with self._child() as child:
            return self._started(child)

    def decode(
        self, body: bytes, *, size: int, max_pixels: int, about: Mapping[str, str] = NOTHING
    ) -> Decoded:
        """Decode like `triptych.media.decode.decode`, in a child process. Blocks.

        Args:
            body: the file.
            size: side of the square in pixels.
            max_pixels: of the picture.
            about: what the log says of a picture that costs its decoder.

        Raises:
            PermanentItemError: as there; `DecoderLost` if the decoder died or took too long.
            Unavailable: decoders do not start here, which no picture is to blame for.
        """
        return self._ask(
            Wanted.PICTURE,
            body,
            size,
            max_pixels,
            lambda content: read_picture(content, size),
            about,
        )

    def thumbnail(
        self, body: bytes, *, width: int, max_pixels: int, about: Mapping[str, str] = NOTHING
    ) -> bytes:
        """Shrink like `triptych.media.shrink.shrink`, in a child process. Blocks.

        Raises:
            PermanentItemError, Unavailable: as `decode` does.
        """
        return self._ask(Wanted.THUMBNAIL, body, width, max_pixels, read_thumbnail, about)

    def facts(
        self, body: bytes, *, max_pixels: int, about: Mapping[str, str] = NOTHING
    ) -> FileFacts:
        """Read like `triptych.media.file_facts.read_facts`, in a child process. Blocks.

        Raises:
            PermanentItemError, Unavailable: as `decode` does.
        """
        return self._ask(Wanted.FACTS, body, 0, max_pixels, read_facts_answer, about)

    def _ask(
        self,
        wanted: Wanted,
        body: bytes,
        side: int,
        max_pixels: int,
        read: Callable[[bytearray], T],
        about: Mapping[str, str],
    ) -> T:
        seconds = math.ceil(self._deadline_s + END_S)
        limits = (max_pixels, self._max_missing, self._memory_max_bytes, seconds)
        request = REQUEST.pack(wanted, side, len(body), *limits)
        with self._child() as child:
            self._note_sandbox(self._started(child))
            try:
                ok, content = child.ask(request, body, self._deadline_s)
                if ok:
                    return read(content)
                reason, _, detail = content.decode("utf-8", "replace").partition("\n")
                failure = PermanentItemError(Reason(reason), detail)
            except TimeoutError as error:
                child.end()
                what = f"took longer than {self._deadline_s:g} s"
                raise _lost("deadline", what, body, about) from error
            except (OSError, EOFError) as error:
                raise _lost(*_death(child.end()), body, about) from error
            except ValueError as error:
                child.end()
                raise _lost("crash", "gave a malformed answer", body, about) from error
        raise failure

    def _started(self, child: _Child) -> tuple[str, ...]:
        """Return what the child's sandbox lacks, once it has started."""
        try:
            return child.greeting(self._deadline_s)
        except (OSError, EOFError, ValueError) as error:
            code = child.end()
            raise Unavailable(
                f"Decoders do not start (exit {code}; {type(error).__name__}: {error})."
            ) from error

    def _note_sandbox(self, missing: tuple[str, ...]) -> None:
        if missing != self._incomplete:
            self._incomplete = missing
            log.warning("sandbox_incomplete", missing=missing)

    @contextmanager
    def _child(self) -> Iterator[_Child]:
        """Borrow a living decoder; a dead one's place stays free for the next."""
        child = self._idle.get()
        try:
            if child is None or not child.alive or child.worked_s > RETIRED_S:
                # It died while idle, and no picture is to blame; or it has worked long enough.
                if child is not None:
                    child.end()
                child = _Child()
            yield child
        finally:
            self._idle.put(child)

    def close(self) -> None:
        """End all decoders. Safe to repeat."""
        for child in [self._idle.get() for _ in range(self._count)]:
            if child is not None:
                child.end()
            self._idle.put(None)


def _death(code: int) -> tuple[str, str]:
    """Return why a decoder died, as the metric and as the item say it."""
    if code == -signal.SIGXCPU:
        return "cpu", "took more CPU time than a picture may"
    # Nothing else kills it: the kernel does when memory runs out.
    cause = "memory" if code == -signal.SIGKILL else "crash"
    return cause, f"killed its decoder (exit {code})"


def _lost(cause: str, what: str, body: bytes, about: Mapping[str, str]) -> DecoderLost:
    DECODERS_LOST.labels(cause).inc()
    log.warning("decoder_lost", cause=cause, why=what, bytes=len(body), **about)
    return DecoderLost(Reason.UNDECODABLE, f"decoding {what}")


class _Child:
    """One decoder process and its socket."""

    def __init__(self) -> None:
        self._missing: tuple[str, ...] | None = None
        self.worked_s = 0.0
        """Seconds that its answers have taken, of which it was computing some."""
        self._line, theirs = socket.socketpair()
        with theirs:
            for end in (self._line, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
            self._process = start_sandboxed("triptych.media.decoder", theirs, decoder_environment())

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._process.pid

    def greeting(self, deadline_s: float) -> tuple[str, ...]:
        """Return what its sandbox lacks, once it has started; raises as `ask`, or `ValueError`."""
        if self._missing is None:
            _, content = self._answer(time.monotonic() + deadline_s)
            self._missing = read_greeting(content)
        return self._missing

    def ask(self, request: bytes, body: bytes, deadline_s: float) -> tuple[bool, bytearray]:
        """Raise `TimeoutError`, `OSError` or `EOFError`; then it can no longer be used."""
        begun = time.monotonic()
        self._line.settimeout(deadline_s)
        self._line.sendall(request)
        self._line.sendall(body)
        answer = self._answer(begun + deadline_s)
        self.worked_s += time.monotonic() - begun
        return answer

    def _answer(self, ends: float) -> tuple[bool, bytearray]:
        ok, length = ANSWER.unpack(self._receive(ANSWER.size, ends))
        if length > ANSWER_MAX_BYTES:
            raise EOFError
        return bool(ok), self._receive(length, ends)

    def _receive(self, length: int, ends: float) -> bytearray:
        content = bytearray(length)
        view = memoryview(content)
        while view:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._line.settimeout(left)
            received = self._line.recv_into(view)
            if not received:
                raise EOFError
            view = view[received:]
        return content

    def end(self) -> int:
        """Kill it if it lives; return its exit code."""
        self._line.close()
        self._process.kill()
        return self._process.wait(END_S)
