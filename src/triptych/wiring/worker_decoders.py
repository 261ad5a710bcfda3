"""How many decoders a worker has: as its cores and its memory allow, not as the host's."""

from __future__ import annotations

import structlog

from triptych.media.decoders import Decoders
from triptych.runtime.cpu import available_cores
from triptych.runtime.memory import available_memory
from triptych.settings.settings import AUTO, Settings

WORKER_BYTES = 768 * 1024**2
"""For the worker itself, with its models, beside `Settings.fetch_memory_bytes` for bodies."""
DECODER_BYTES = 512 * 1024**2
"""For each decoder. Measured peaks: 80 to 140 MiB for JPEG and PNG of 12 megapixels, 240 MiB for
WebP of that size, 350 MiB for a progressive JPEG of a hundred. A PNG of a hundred megapixels with
transparency takes 1,050 MiB; if several such come at once, the kernel ends a decoder first."""

log = structlog.get_logger(__name__)


def worker_decoder_count(settings: Settings) -> int:
    """Return how many decoders one worker has: as told, or as many as there is room for.

    That is one for each core that affinity and control groups (``cpu.max``) allow, as far as this
    worker's share of the memory (``memory.max``) holds them beside it; at least one.
    """
    if settings.decoders != AUTO:
        return settings.decoders
    return max(1, min(available_cores(), _held(settings)))


def worker_decoders(settings: Settings) -> tuple[Decoders, int]:
    """Return a worker's decoders and their number; log it where memory holds fewer than cores."""
    count = worker_decoder_count(settings)
    if settings.decoders == AUTO and count < available_cores():
        log.info(
            "decoders_held_by_memory",
            decoders=count,
            cores=available_cores(),
            memory_bytes=available_memory(),
        )
    return Decoders(count, max_missing=settings.decode_max_missing), count


def _held(settings: Settings) -> int:
    """Return how many decoders this worker's share of the memory holds beside it."""
    share = available_memory() // settings.workers
    return (share - WORKER_BYTES - settings.fetch_memory_bytes) // DECODER_BYTES
