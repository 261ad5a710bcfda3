"""Decoders that brands share: no brand waits for the costly pictures of another."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from structlog.testing import capture_logs

from tests.support.picture_server import picture
from tests.support.waiting import until_true
from triptych.errors import DecoderLost
from triptych.media.decoded import Decoded
from triptych.media.decoder_turns import Rank
from triptych.media.decoders import Decoders
from triptych.media.shared_decoders import Origin, SharedDecoders
from triptych.model import Reason
from triptych.telemetry.metrics import DECODERS_LOST

PLACES = 2
PATIENCE_S = 60.0
COSTLY = b"<svg xmlns='http://www.w3.org/2000/svg'><g filter='url(#f)'/></svg>"
DECODED = Decoded(np.zeros((1, 1, 3), np.uint8), 1, 1, "image/png", 0)


class HeldDecoders:
    """Decoders that hold what begins as an SVG until they are let go, and lose what is `lost`."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.begun: list[str] = []

    def decode(self, body: bytes, *, about: dict[str, str], **_: Any) -> Decoded:
        self.begun.append(about.get("brand", ""))
        if body.startswith(b"<svg"):
            assert self.go_on.wait(PATIENCE_S)
        if body == b"lost":
            raise DecoderLost(Reason.UNDECODABLE, "killed its decoder")
        return DECODED

    def close(self) -> None:
        self.go_on.set()


@pytest.fixture
def held() -> Iterator[HeldDecoders]:
    opened = HeldDecoders()
    yield opened
    opened.close()


@pytest.fixture
async def shared(held: HeldDecoders) -> AsyncIterator[SharedDecoders]:
    opened = SharedDecoders(held, PLACES)  # type: ignore[arg-type]
    yield opened
    held.go_on.set()
    await asyncio.to_thread(opened.close)


def asking(shared: SharedDecoders, brand: str, body: bytes) -> asyncio.Task[Decoded]:
    origin = Origin(brand, f"run of {brand}", f"https://{brand}.example/1")
    return asyncio.create_task(shared.decode(body, origin, size=1, max_pixels=1))


async def test_five_pictures_are_decoded_while_eight_costly_svgs_of_another_brand_wait(
    shared: SharedDecoders, held: HeldDecoders
) -> None:
    costly = [asking(shared, "costly", COSTLY) for _ in range(8)]
    await until_true(lambda: held.begun)
    other = [asking(shared, "other", b"picture") for _ in range(5)]
    await asyncio.wait_for(asyncio.gather(*other), PATIENCE_S)
    assert held.begun == ["costly", *["other"] * 5], "one of the eight is being decoded"
    assert not any(task.done() for task in costly)
    held.go_on.set()
    await asyncio.wait_for(asyncio.gather(*costly), PATIENCE_S)


async def test_a_run_that_has_lost_a_decoder_waits_last(
    shared: SharedDecoders, held: HeldDecoders
) -> None:
    with pytest.raises(DecoderLost):
        await asking(shared, "loser", b"lost")
    assert shared._slow.rank("run of loser", "") is Rank.LAST
    blocking = [asking(shared, brand, COSTLY) for brand in ("a", "b")]
    await until_true(lambda: "a" in held.begun)
    later = asking(shared, "loser", b"picture")
    other = [asking(shared, "other", b"picture") for _ in range(3)]
    await asyncio.wait_for(asyncio.gather(*other), PATIENCE_S)
    assert not later.done()
    held.go_on.set()
    await asyncio.wait_for(asyncio.gather(later, *blocking), PATIENCE_S)
    assert held.begun[-1] == "loser"


async def test_a_caller_that_is_gone_keeps_its_decoder_until_that_is_free(
    shared: SharedDecoders, held: HeldDecoders
) -> None:
    gone = asking(shared, "gone", COSTLY)
    await until_true(lambda: held.begun)
    waiting = asking(shared, "gone", COSTLY)
    await asyncio.sleep(0)
    for task in (gone, waiting):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert shared._turns.holding("gone") == 1
    assert shared._turns.waiting() == 0
    held.go_on.set()
    await until_true(lambda: not shared._turns.holding("gone"))
    assert await asking(shared, "next", b"picture") is DECODED


def lost(cause: str) -> float:
    return DECODERS_LOST.labels(cause)._value.get()  # type: ignore[no-any-return]


@pytest.mark.integration
async def test_a_lost_decoder_is_counted_and_logged_with_its_picture_and_no_secret() -> None:
    decoders = Decoders(1, deadline_s=0.5)
    url = "https://somebody:password@cdn.example:8443/a/b.png?signature=secret#part"
    before = lost("deadline")
    with closing(SharedDecoders(decoders, 1)) as shared, capture_logs() as logs:
        with decoders._child() as child:
            child.greeting(PATIENCE_S)
            os.kill(child.pid, signal.SIGSTOP)
        with pytest.raises(DecoderLost):
            await shared.decode(picture(1), Origin("nike", "run 7", url), size=8, max_pixels=10**6)
    (told,) = [entry for entry in logs if entry["event"] == "decoder_lost"]
    assert (told["url"], told["brand"], told["run"], told["cause"]) == (
        "https://cdn.example:8443/a/b.png",
        "nike",
        "run 7",
        "deadline",
    )
    assert not any(word in str(told) for word in ("secret", "password", "somebody"))
    assert lost("deadline") == before + 1


@pytest.mark.integration
async def test_owners_pictures_are_decoded_as_alone() -> None:
    with closing(SharedDecoders(Decoders(PLACES), PLACES)) as shared:
        found = await asyncio.gather(
            *(
                shared.decode(picture(n % 3), Origin(f"brand {n % 2}"), size=8, max_pixels=10**6)
                for n in range(30)
            )
        )
    assert [each.phash for each in found] == [each.phash for each in found[:3]] * 10
