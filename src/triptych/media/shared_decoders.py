"""Decoders that several owners share: each picture waits for its owner's turn."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from urllib.parse import urlsplit

from triptych.errors import DecoderLost
from triptych.media.decoded import Decoded
from triptych.media.decoder_turns import DecoderTurns, Rank, Turn
from triptych.media.decoders import Decoders
from triptych.media.slow_origins import SlowOrigins
from triptych.media.svg_source import may_draw_slowly
from triptych.telemetry.metrics import DECODE_SECONDS


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose picture it is, and where it comes from."""

    owner: str
    """Who has turns: a brand, or an identity."""
    run: str = ""
    """The run's id; empty if it is of none, as an upload."""
    url: str = ""
    """Empty if it was not fetched."""

    @property
    def group(self) -> str:
        """Return what later pictures are known by to come from the same place."""
        return self.run or self.owner

    @property
    def host(self) -> str:
        """Return the URL's host; empty if there is none."""
        try:
            return urlsplit(self.url).hostname or ""
        except ValueError:
            return ""

    def told(self) -> dict[str, str]:
        """Return what the log may say: of the URL neither query nor user, which may be secrets."""
        told = {"brand": self.owner, "run": self.run} if self.run else {"identity": self.owner}
        if self.host:
            parts = urlsplit(self.url)
            told["url"] = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        return told


class SharedDecoders:
    """Decodes pictures of several owners in ``places`` decoders, in turns. For one event loop.

    The callers bound how many pictures wait.
    """

    def __init__(self, decoders: Decoders, places: int) -> None:
        self._decoders = decoders
        # One thread for each decoder, which waits for it.
        self._threads = ThreadPoolExecutor(places, thread_name_prefix="decoding")
        self._turns = DecoderTurns(places)
        self._slow = SlowOrigins()

    async def decode(self, body: bytes, origin: Origin, *, size: int, max_pixels: int) -> Decoded:
        """Decode like `triptych.media.decode.decode`, when it is the owner's turn.

        Whoever is cancelled while a decoder works is not waited for, and the decoder stays theirs
        until it is free.

        Raises:
            PermanentItemError: as there; `DecoderLost` if the decoder died or took too long.
            Unavailable: decoders do not start here, which no picture is to blame for.
        """
        turn = await self._turns.take(origin.owner, self._rank(body, origin))
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, self._decode, body, origin, size, max_pixels
        )
        work.add_done_callback(self._ended(turn, origin))
        return await asyncio.shield(work)

    def _rank(self, body: bytes, origin: Origin) -> Rank:
        known = self._slow.rank(origin.group, origin.host)
        return max(known, Rank.SLOW) if may_draw_slowly(body) else known

    def _decode(self, body: bytes, origin: Origin, size: int, max_pixels: int) -> Decoded:
        with DECODE_SECONDS.time():
            return self._decoders.decode(
                body, size=size, max_pixels=max_pixels, about=origin.told()
            )

    def _ended(self, turn: Turn, origin: Origin) -> Callable[[asyncio.Future[Decoded]], None]:
        def ended(work: asyncio.Future[Decoded]) -> None:
            if not work.cancelled():
                self._slow.note_seconds(origin.group, time.monotonic() - turn.begun)
                # Also tells asyncio that the error was seen: whoever waited may be gone.
                if isinstance(work.exception(), DecoderLost):
                    self._slow.note_lost(origin.group, origin.host)
            self._turns.give_back(turn)

        return ended

    def close(self) -> None:
        """End the decoders, once they have no work. Safe to repeat."""
        self._threads.shutdown(cancel_futures=True)
        self._decoders.close()
