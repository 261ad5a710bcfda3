"""The decoder process: ``python -m triptych.media.decoder``. See `triptych.media.decoders`."""

from __future__ import annotations

import resource
import signal
import socket
import sys

from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.exchange import ANSWER, REQUEST, TEXT_MAX_BYTES, Wanted, write_picture
from triptych.media.shrink import shrink
from triptych.media.svg_source import looks_like_svg
from triptych.model import Reason

DRAWING_MAX_BYTES = 1024**3
"""Address space while an SVG is drawn. The result is small; nested masks would use gigabytes before
the deadline."""


def main() -> None:
    """Decode requests from the socket on standard input until it ends."""
    with socket.socket(fileno=sys.stdin.fileno()) as line, line.makefile("rb") as source:
        while head := source.read(REQUEST.size):
            wanted, size, length, max_pixels, max_missing, memory, seconds = REQUEST.unpack(head)
            # If a picture hangs and the worker is gone, nothing else ends this process.
            signal.alarm(seconds)
            body = source.read(length)
            drawn = min(memory, DRAWING_MAX_BYTES) if looks_like_svg(body) else memory
            _limit_memory(drawn, at_most=memory)
            ok, content = _answer(Wanted(wanted), body, size, max_pixels, max_missing)
            signal.alarm(0)
            line.sendall(ANSWER.pack(ok, len(content)) + content)


def _answer(
    wanted: Wanted, body: bytes, size: int, max_pixels: int, max_missing: float
) -> tuple[bool, bytes]:
    try:
        if wanted is Wanted.THUMBNAIL:
            return True, shrink(body, width=size, max_pixels=max_pixels, max_missing=max_missing)
        return True, write_picture(
            decode(body, size=size, max_pixels=max_pixels, max_missing=max_missing)
        )
    except PermanentItemError as error:
        return False, _failure(error.reason, error.detail)
    except MemoryError:
        return False, _failure(Reason.TOO_MANY_PIXELS, "needs too much memory")


def _failure(reason: Reason, detail: str) -> bytes:
    return f"{reason.value}\n{detail}".encode("utf-8", "replace")[:TEXT_MAX_BYTES]


def _limit_memory(limit: int, *, at_most: int) -> None:
    """Limit this process's address space; a later limit may be higher, up to ``at_most``."""
    if sys.platform == "linux" and resource.getrlimit(resource.RLIMIT_AS) != (limit, at_most):
        resource.setrlimit(resource.RLIMIT_AS, (limit, at_most))


if __name__ == "__main__":
    main()
