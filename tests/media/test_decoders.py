"""G9: a picture that kills, hangs or bloats its decoder costs itself and no more."""

from __future__ import annotations

import io
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import psutil
import pytest
from PIL import Image

from tests.support.costly_svgs import UNFORESEEN
from tests.support.picture_server import picture
from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.decoders import Decoders, _Child
from triptych.media.exchange import REQUEST, Wanted
from triptych.media.file_reading import read_facts
from triptych.model import Reason

pytestmark = pytest.mark.integration

SIDE = 64
MAX_PIXELS = 200_000_000
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    """For tests that leave them as they were: one that has died is replaced."""
    opened = Decoders(2)
    yield opened
    opened.close()


def open_(decoders: Decoders, body: bytes):  # type: ignore[no-untyped-def]
    return decoders.decode(body, size=SIDE, max_pixels=MAX_PIXELS)


def pid_of_the_next(decoders: Decoders) -> int:
    with decoders._child() as child:
        child.greeting(PATIENCE_S)  # It has started: what happens from now on is a picture's.
        return child.pid


def large(side: int, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (side, side)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def test_g9_an_svg_that_takes_too_much_cpu_time_costs_itself() -> None:
    # No wait for the deadline: that would be longer.
    with closing(Decoders(1, deadline_s=PATIENCE_S)) as decoders:
        with pytest.raises(PermanentItemError, match="more CPU time") as error:
            open_(decoders, UNFORESEEN)
        assert error.value.reason is Reason.UNDECODABLE
        assert open_(decoders, picture(1)).width


def test_what_comes_out_is_what_decoding_here_gives(decoders: Decoders) -> None:
    for number in range(5):
        there, here = (
            open_(decoders, picture(number)),
            decode(picture(number), size=SIDE, max_pixels=MAX_PIXELS),
        )
        np.testing.assert_array_equal(there.pixels, here.pixels)
        for name in ("width", "height", "media_type", "phash", "colours"):
            assert getattr(there, name) == getattr(here, name)


def test_what_a_file_shows_comes_out_as_reading_here_gives(decoders: Decoders) -> None:
    exif = Image.Exif()
    exif[0x8298] = "(c) Acme"
    body = io.BytesIO()
    Image.open(io.BytesIO(picture(5))).convert("RGB").save(body, "JPEG", exif=exif)
    found = decoders.facts(body.getvalue(), max_pixels=MAX_PIXELS)
    assert found == read_facts(body.getvalue(), max_pixels=MAX_PIXELS)
    assert found.origin.copyright == "(c) Acme"
    with pytest.raises(PermanentItemError) as error:
        decoders.facts(b"no picture", max_pixels=MAX_PIXELS)
    assert error.value.reason is Reason.NOT_AN_IMAGE


def test_failures_keep_their_reasons(decoders: Decoders) -> None:
    cases = [
        (b"<html>", Reason.NOT_AN_IMAGE, "an HTML page"),
        (picture(1)[:-600], Reason.UNDECODABLE, ""),
        (b"", Reason.NOT_AN_IMAGE, ""),
    ]
    for body, reason, says in cases:
        with pytest.raises(PermanentItemError) as error:
            open_(decoders, body)
        assert error.value.reason is reason
        assert says in error.value.detail
    with pytest.raises(PermanentItemError) as refused:
        decoders.decode(picture(1), size=SIDE, max_pixels=100)
    assert refused.value.reason is Reason.TOO_MANY_PIXELS


def test_many_threads_share_them(decoders: Decoders) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda n: open_(decoders, picture(n % 5)).phash, range(100)))
    assert found == found[:5] * 20


def test_g9_a_crash_costs_one_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    decoders = Decoders(1)
    asked = threading.Event()
    receive = _Child._receive

    def receiving(child: _Child, length: int, ends: float) -> bytearray:
        asked.set()
        return receive(child, length, ends)

    monkeypatch.setattr(_Child, "_receive", receiving)
    try:
        pid = pid_of_the_next(decoders)
        asked.clear()
        os.kill(pid, signal.SIGSTOP)
        with ThreadPoolExecutor(1) as pool:
            doomed = pool.submit(open_, decoders, picture(1))
            assert asked.wait(PATIENCE_S)
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(PermanentItemError, match="killed its decoder") as error:
                doomed.result(PATIENCE_S)
        assert error.value.reason is Reason.UNDECODABLE
        assert open_(decoders, picture(1)).width == 48
        assert pid_of_the_next(decoders) != pid
    finally:
        decoders.close()


def test_a_decoder_that_dies_idle_costs_nothing(decoders: Decoders) -> None:
    pid = pid_of_the_next(decoders)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    assert open_(decoders, picture(1)).width == 48
    assert pid_of_the_next(decoders) != pid


def test_g9_a_hang_ends_at_the_deadline() -> None:
    decoders = Decoders(1, deadline_s=0.5)
    try:
        os.kill(pid_of_the_next(decoders), signal.SIGSTOP)
        with pytest.raises(PermanentItemError) as error:
            open_(decoders, picture(1))
        assert error.value.detail == "decoding took longer than 0.5 s"
    finally:
        decoders.close()


def test_g8_a_picture_that_needs_too_much_memory_is_refused() -> None:
    decoders = Decoders(1, memory_max_bytes=450 * 1024 * 1024)
    try:
        assert open_(decoders, picture(1)).width == 48
        before = pid_of_the_next(decoders)
        with pytest.raises(PermanentItemError) as error:
            open_(decoders, large(9_500))
        assert error.value.reason in {Reason.TOO_MANY_PIXELS, Reason.UNDECODABLE}
        assert open_(decoders, picture(2)).width == 48
        assert pid_of_the_next(decoders) == before, "it answered and lives on"
    finally:
        decoders.close()


@pytest.mark.parametrize(("mode", "side"), [("I;16", 6000), ("RGBA", 7500)])
def test_g8_deep_and_transparent_pictures_need_little_more_memory(mode: str, side: int) -> None:
    decoders = Decoders(1, memory_max_bytes=1024**3)
    try:
        assert open_(decoders, large(side, mode)).width == side
    finally:
        decoders.close()


def test_a_decoder_inherits_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_DATABASE_URL", "postgresql://somebody:secret@db/triptych")
    with closing(Decoders(1)) as decoders:
        environment = psutil.Process(pid_of_the_next(decoders)).environ()
    assert not [name for name in environment if name.startswith(("TRIPTYCH", "AWS"))]


def test_g4_a_decoder_ends_when_its_worker_is_killed_while_it_hangs() -> None:
    decoders = Decoders(1, deadline_s=1.0)
    try:
        with decoders._child() as child:
            # A request that is never completed: as much as a hang that nobody waits for.
            child._line.sendall(
                REQUEST.pack(Wanted.PICTURE, SIDE, 1000, MAX_PIXELS, 0.0, 4 * 1024**3, 1)
            )
            assert psutil.Process(child.pid).wait(PATIENCE_S) is not None
    finally:
        decoders.close()


def test_g4_decoders_end_with_their_worker() -> None:
    decoders = Decoders(2)
    both = threading.Barrier(2)

    def hold() -> int:
        with decoders._child() as child:
            both.wait(PATIENCE_S)
            return child.pid

    with ThreadPoolExecutor(2) as pool:
        pids = [future.result() for future in [pool.submit(hold), pool.submit(hold)]]
    assert len(set(pids)) == 2
    decoders.close()
    decoders.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_what_may_be_missing_reaches_the_decoder() -> None:
    buffer = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(buffer, "JPEG")
    cut = buffer.getvalue()[:-600]
    with closing(Decoders(1, max_missing=1.0)) as lenient, closing(Decoders(1)) as strict:
        assert lenient.decode(cut, size=32, max_pixels=10**6).width == 256
        assert lenient.thumbnail(cut, width=32, max_pixels=10**6)
        with pytest.raises(PermanentItemError, match="rows are missing"):
            strict.decode(cut, size=32, max_pixels=10**6)
        with pytest.raises(PermanentItemError, match="rows are missing"):
            strict.thumbnail(cut, width=32, max_pixels=10**6)
