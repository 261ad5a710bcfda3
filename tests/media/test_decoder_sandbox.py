"""What code reaches that has taken over a decoder: its picture, and nothing around it."""

from __future__ import annotations

import ctypes
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image
from structlog.testing import capture_logs

from tests.support import sandbox_attempts
from tests.support.picture_server import picture
from tests.support.postgres import PostgresServer
from triptych.errors import Unavailable
from triptych.media import decoders as decoders_module
from triptych.media.decode import decode
from triptych.media.decoder import DRAWING_CPU_S, LIFETIME_CPU_S, PICTURE_CPU_S
from triptych.media.decoders import (
    DEADLINE_S,
    END_S,
    RETIRED_S,
    Decoders,
    decoder_environment,
)
from triptych.runtime.sandbox import OOM_SCORE_ADJ

pytestmark = pytest.mark.integration

SIDE = 64
MAX_PIXELS = 100_000_000


@pytest.fixture(scope="module")
def outcomes(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    return sandbox_attempts.outcomes(
        "triptych.media.decoder.enter_decoder_sandbox",
        decoder_environment(),
        dsn=postgres_server.dsn("triptych"),
        folder=tmp_path_factory.mktemp("secrets"),
    )


@pytest.mark.parametrize("attempt", sandbox_attempts.ATTEMPTS)
def test_nothing_around_a_decoder_can_be_reached(outcomes: dict[str, str], attempt: str) -> None:
    assert outcomes[attempt] == "PermissionError"


def encoded(form: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(picture(1))) as image:
        mode = str(options.pop("mode", "RGB"))
        image.convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


PICTURES = {
    **{form: encoded(form) for form in ("JPEG", "PNG", "WEBP", "GIF", "AVIF", "BMP", "ICO")},
    "JPEG2000": encoded("JPEG2000"),
    **{
        f"TIFF, {packing}": encoded("TIFF", compression=packing)
        for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")
    },
    "TIFF, group4": encoded("TIFF", compression="group4", mode="1"),
    # In threads of libde265's.
    **{path.name: path.read_bytes() for path in sorted(Path("tests/data").glob("*.heic"))},
    # Reads the system's fonts, if there are any.
    "SVG": b"""<svg xmlns="http://www.w3.org/2000/svg" width="90" height="60"><filter id="f">
        <feGaussianBlur stdDeviation="2"/></filter><rect width="40" height="30"
        filter="url(#f)"/><text x="9" y="40">text</text></svg>""",
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoders]:
    with closing(Decoders(1)) as opened:
        yield opened


@pytest.mark.parametrize("form", PICTURES)
def test_every_format_is_decoded_inside_as_outside(decoder: Decoders, form: str) -> None:
    body = PICTURES[form]
    here = decode(body, size=SIDE, max_pixels=MAX_PIXELS)
    there = decoder.decode(body, size=SIDE, max_pixels=MAX_PIXELS)
    np.testing.assert_array_equal(there.pixels, here.pixels)
    assert (there.phash, there.media_type) == (here.phash, here.media_type)


def test_a_living_decoder_is_confined_and_is_ended_before_its_worker(decoder: Decoders) -> None:
    assert decoder.sandbox_lacks() == ()
    with decoder._child() as child:
        process = Path(f"/proc/{child.pid}")
        status = dict(
            line.split(":\t", 1) for line in (process / "status").read_text().splitlines()
        )
        score = int((process / "oom_score_adj").read_text())
    assert (status["NoNewPrivs"], status["Seccomp"], score) == ("1", "2", OOM_SCORE_ADJ)


def test_g8_each_picture_has_a_deadline_of_cpu_time(decoder: Decoders) -> None:
    for form, allowed in (("PNG", PICTURE_CPU_S), ("SVG", DRAWING_CPU_S)):
        decoder.decode(PICTURES[form], size=SIDE, max_pixels=MAX_PIXELS)
        with decoder._child() as child:
            limits = Path(f"/proc/{child.pid}/limits").read_text()
            times = psutil.Process(child.pid).cpu_times()
        (line,) = [line for line in limits.splitlines() if line.startswith("Max cpu time")]
        left = int(line.split()[3]) - (times.user + times.system)
        assert 0 < left <= allowed + 1, "whole seconds"


def test_a_process_with_decoders_gives_its_memory_to_no_other_of_its_user(
    decoder: Decoders,
) -> None:
    decoder.sandbox_lacks()
    assert ctypes.CDLL(None).prctl(3, 0, 0, 0, 0) == 0  # PR_GET_DUMPABLE


def test_a_decoder_that_has_worked_long_is_replaced(
    decoder: Decoders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def pid() -> int:
        decoder.decode(PICTURES["PNG"], size=SIDE, max_pixels=MAX_PIXELS)
        with decoder._child() as child:
            return child.pid

    first = pid()
    assert pid() == first
    monkeypatch.setattr(decoders_module, "RETIRED_S", 0.0)
    assert pid() != first


def test_a_decoder_that_does_not_start_is_no_pictures_fault(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with closing(Decoders(1)) as decoders:
        with pytest.raises(Unavailable, match="do not start"):
            decoders.decode(PICTURES["PNG"], size=SIDE, max_pixels=MAX_PIXELS)
        monkeypatch.undo()
        assert decoders.decode(PICTURES["PNG"], size=SIDE, max_pixels=MAX_PIXELS).width


def test_a_decoder_is_replaced_before_its_cpu_time_is_over() -> None:
    assert RETIRED_S + DEADLINE_S + END_S < LIFETIME_CPU_S
    assert DRAWING_CPU_S < PICTURE_CPU_S < DEADLINE_S


WITHOUT = """
import errno, json, landlockpy, platform
from triptych.media.decoder import enter_decoder_sandbox
from triptych.runtime import sandbox
def unsupported(**_):
    raise landlockpy.UnsupportedError(errno.ENOSYS, "Function not implemented")
sandbox.Ruleset = unsupported
platform.machine = lambda: "riscv64"
print(json.dumps(enter_decoder_sandbox()))
"""


def test_what_a_kernel_lacks_is_named() -> None:
    child = subprocess.run(
        [sys.executable, "-P", "-c", WITHOUT],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert json.loads(child.stdout) == [
        "Landlock: [Errno 38] Function not implemented",
        "seccomp: no filter for linux on riscv64",
    ]


def test_an_incomplete_sandbox_is_logged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders_module, "read_greeting", lambda _: ("seccomp: not here",))
    with closing(Decoders(1)) as decoders, capture_logs() as logs:
        for _ in range(2):
            decoders.decode(PICTURES["PNG"], size=SIDE, max_pixels=MAX_PIXELS)
    told = [entry for entry in logs if entry["event"] == "sandbox_incomplete"]
    assert [entry["missing"] for entry in told] == [("seccomp: not here",)]
