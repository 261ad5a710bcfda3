"""What an SVG costs is estimated before it is drawn: small files that take for ever are refused."""

from __future__ import annotations

import time

import pytest

from tests.support.costly_svgs import COSTLY, HONEST, INNER
from triptych.errors import PermanentItemError
from triptych.media import svg
from triptych.media.decode import decode
from triptych.media.svg import rasterise
from triptych.media.svg_cost import SECONDS_MAX
from triptych.media.svg_source import may_draw_slowly
from triptych.model import Reason

SIDE = 448
"""What is drawn for embedders of up to 224 pixels."""


@pytest.mark.parametrize("name", COSTLY)
def test_g8_what_would_take_too_long_is_refused_before_it_is_drawn(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(svg, "resvg_py", None)
    with pytest.raises(PermanentItemError) as error:
        rasterise(COSTLY[name], SIDE)
    assert error.value.reason is Reason.UNDECODABLE
    assert error.value.detail.startswith(("SVG: drawing it would take", "SVG: more than"))


@pytest.mark.parametrize("name", COSTLY)
def test_what_may_be_costly_is_known_by_a_quick_look(name: str) -> None:
    assert may_draw_slowly(COSTLY[name])


def test_the_reason_says_what_it_is_and_the_limit() -> None:
    with pytest.raises(PermanentItemError) as error:
        decode(INNER, size=224, max_pixels=10**6)
    assert "100% of it for feTurbulence" in error.value.detail
    assert error.value.detail.endswith(f"; {SECONDS_MAX:g} s are allowed")


@pytest.mark.parametrize("name", HONEST)
def test_what_is_drawn_in_time_is_not_refused(name: str) -> None:
    begun = time.process_time()
    image, *_ = rasterise(HONEST[name], SIDE)
    print(f"{name}: {time.process_time() - begun:.2f} s")
    assert max(image.size) == SIDE


def test_plain_drawings_are_plain_and_pictures_are_no_drawings() -> None:
    plain = b'<svg xmlns="http://www.w3.org/2000/svg"><path opacity=".5" d="M0 0h9v9z"/></svg>'
    assert not may_draw_slowly(plain)
    assert not may_draw_slowly(b"\xff\xd8\xff\xe0 filter mask pattern")
    assert may_draw_slowly(plain + b" " * 70_000)
