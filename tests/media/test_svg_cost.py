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


PLAIN = '<svg xmlns="http://www.w3.org/2000/svg">{}</svg>'


@pytest.mark.parametrize(
    ("content", "slow"),
    [
        ('<path opacity=".5" clip-rule="evenodd" d="M0 0h9v9z"/>', False),
        (
            '<path style="opacity:1;fill-opacity:1;filter: none;mask:none;marker-end:none"/>' * 50,
            False,
        ),
        ('<path stroke-dasharray="none" color-interpolation-filters="sRGB"/>', False),
        ('<g><path fill="url(#g)"/></g><title>text, image, use</title>', False),
        ('<path fill="url(#g)"/>' * 21, True),
        ('<path opacity=".5"/>' * 21, True),
        ('<path style="opacity : .5"/>' * 21, True),
        ('<path filter="url(#f)"/>', True),
        ('<path style="fil/**/ter:url(#f)"/>', True),
        ('<path style="f&#105;lter:url(#f)"/>', True),
        ('<s:use href="#a"/>', True),
        (" " * 70_000, True),
    ],
)
def test_a_quick_look_tells_plain_drawings_from_others(content: str, slow: bool) -> None:
    assert may_draw_slowly(PLAIN.format(content).encode()) == slow


def test_pictures_are_no_drawings() -> None:
    assert not may_draw_slowly(b"\xff\xd8\xff\xe0 <svg filter='' mask='' pattern")
    assert not may_draw_slowly(b"<html><svg filter=''/></html>")
