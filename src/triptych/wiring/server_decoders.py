"""The decoders of a server: fewer and smaller than a worker's, for its memory is for requests."""

from __future__ import annotations

from triptych.media.decoders import Decoders
from triptych.runtime.cpu import available_cores
from triptych.runtime.memory import available_memory
from triptych.settings.settings import Settings

POOLS = 2
"""Thumbnails, and query pictures."""
SERVER_DECODER_MAX_BYTES = 1536 * 1024**2
"""Address space of one: a hundred million pixels fit in the usual modes."""
SERVER_BYTES = 1024 * 1024**2
"""For the server itself, with its models, results and bodies."""


def server_decoder_count() -> int:
    """Return the decoders of each pool: all pools together fit beside the server.

    At least one, and no more than cores.
    """
    for_decoders = (available_memory() - SERVER_BYTES) // POOLS
    return max(1, min(available_cores(), for_decoders // SERVER_DECODER_MAX_BYTES))


def server_decoders(settings: Settings, count: int) -> Decoders:
    """Return the decoders of one pool."""
    return Decoders(
        count,
        max_missing=settings.decode_max_missing,
        memory_max_bytes=SERVER_DECODER_MAX_BYTES,
    )
