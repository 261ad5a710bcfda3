"""The decoder process: ``python -m triptych.media.decoder``. See `triptych.media.decoders`."""

from __future__ import annotations

import signal
import socket
import sys
from pathlib import Path

import triptych
from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.exchange import (
    ANSWER,
    REQUEST,
    TEXT_MAX_BYTES,
    Wanted,
    write_facts,
    write_greeting,
    write_picture,
)
from triptych.media.shrink import shrink
from triptych.media.svg_source import looks_like_svg
from triptych.model import Reason
from triptych.runtime.sandbox import enter_sandbox, limit_cpu, limit_memory

DRAWING_MAX_BYTES = 1024**3
"""Address space while an SVG is drawn. The result is small; nested masks would use gigabytes before
the deadline."""
DRAWING_CPU_S = 5
"""CPU time for drawing an SVG. Real ones take less than a second; 2 kB of filters can take any
time."""
PICTURE_CPU_S = 15
"""CPU time, of all threads, for any other picture. A hundred million pixels of JPEG 2000 take 11 s,
of any other format less than 5."""
LIFETIME_CPU_S = 3600
"""CPU time of a decoder. It cannot raise this, so one that was taken over and has lost its worker
ends too."""


def main() -> None:
    """Enter the sandbox, then decode requests from the socket on standard input until it ends."""
    missing = enter_decoder_sandbox()
    with socket.socket(fileno=sys.stdin.fileno()) as line, line.makefile("rb") as source:
        line.sendall(write_greeting(missing))
        while head := source.read(REQUEST.size):
            wanted, size, length, max_pixels, max_missing, memory, seconds = REQUEST.unpack(head)
            # If a picture hangs and the worker is gone, nothing else ends this process.
            signal.alarm(seconds)
            body = source.read(length)
            drawn = looks_like_svg(body)
            limit_cpu(
                min(seconds, DRAWING_CPU_S if drawn else PICTURE_CPU_S), at_most=LIFETIME_CPU_S
            )
            limit_memory(min(memory, DRAWING_MAX_BYTES) if drawn else memory, at_most=memory)
            ok, content = _answer(Wanted(wanted), body, size, max_pixels, max_missing)
            signal.alarm(0)
            line.sendall(ANSWER.pack(ok, len(content)) + content)


def enter_decoder_sandbox() -> tuple[str, ...]:
    """Confine this process as a decoder; see `enter_sandbox`."""
    return enter_sandbox([Path(triptych.__file__).parent])


def _answer(
    wanted: Wanted, body: bytes, size: int, max_pixels: int, max_missing: float
) -> tuple[bool, bytes]:
    try:
        if wanted is Wanted.THUMBNAIL:
            return True, shrink(body, width=size, max_pixels=max_pixels, max_missing=max_missing)
        if wanted is Wanted.FACTS:
            # Imported where facts are asked for: most decoders are never asked.
            from triptych.media.file_reading import read_facts

            facts = read_facts(body, max_pixels=max_pixels, max_missing=max_missing)
            return True, write_facts(facts)
        return True, write_picture(
            decode(body, size=size, max_pixels=max_pixels, max_missing=max_missing)
        )
    except PermanentItemError as error:
        return False, _failure(error.reason, error.detail)
    except MemoryError:
        return False, _failure(Reason.TOO_MANY_PIXELS, "needs too much memory")


def _failure(reason: Reason, detail: str) -> bytes:
    return f"{reason.value}\n{detail}".encode("utf-8", "replace")[:TEXT_MAX_BYTES]


if __name__ == "__main__":
    main()
