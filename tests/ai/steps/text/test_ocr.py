"""Reading text with the real models, from pixels and from the files of a store."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from triptych.ai.asset_step import Picture, discover_asset_steps
from triptych.ai.pictures import StoredPictures, Unreadable
from triptych.ai.steps.text.ocr import LENGTH_MAX, LINES_MAX, TEXT_READING, affordable
from triptych.features.feature_store import RESULT_MAX_BYTES, Feature, check_features
from triptych.features.picture_text import PictureText
from triptych.media.decoders import Decoders
from triptych.objects import open_store


def banner(width: int = 900, height: int = 300) -> Image.Image:
    image = Image.new("RGB", (width, height), (245, 245, 245))
    draw = ImageDraw.Draw(image)
    draw.text((60, 40), "SUMMER SALE", (180, 0, 0), font=ImageFont.load_default(60))
    draw.text((500, 200), "until 31.12.2025", (0, 0, 0), font=ImageFont.load_default(36))
    return image


def read(*pictures: Picture) -> list[PictureText]:
    results = TEXT_READING.compute(pictures)
    check_features([Feature(bytes(32), result) for result in results])
    found = [PictureText.of(Feature(bytes(32), result)) for result in results]
    return [text for text in found if text is not None]


def test_lines_are_read_with_their_places() -> None:
    blank = np.full((200, 300, 3), 255, np.uint8)
    text, none = read(np.asarray(banner()), blank)
    first, second = text.lines
    assert (first.text, second.text) == ("SUMMER SALE", "until 31.12.2025")
    assert min(first.confidence, second.confidence) > 0.9
    assert first.x == pytest.approx(60 / 900, abs=0.03)
    assert first.y == pytest.approx(50 / 300, abs=0.08)
    assert first.x + first.width < 0.6
    assert second.x == pytest.approx(500 / 900, abs=0.03)
    assert second.y > 0.6
    assert none == PictureText([], 0)


@pytest.mark.parametrize("size", [(1, 1280), (1280, 1), (1, 1), (8, 1280), (1280, 9)])
def test_thin_pictures_are_no_problem(size: tuple[int, int]) -> None:
    assert read(np.full((*size, 3), 255, np.uint8)) == [PictureText([], 0)]


def boxes(*sizes: tuple[float, float]) -> np.ndarray:
    return np.array([[(0, 0), (w, 0), (w, h), (0, h)] for w, h in sizes], np.float32)


def test_the_largest_letters_are_read_and_the_length_is_bounded() -> None:
    many = boxes(*[(100, 10)] * 50, (200, 40), (10, 100))
    chosen = affordable(many)
    assert 50 in chosen
    assert len(chosen) == 1 + (LENGTH_MAX - 5) // 10
    assert chosen == sorted(chosen)
    assert len(affordable(boxes(*[(10, 10)] * 1_000))) == LINES_MAX
    assert affordable(boxes((LENGTH_MAX * 10 + 10, 10))) == []


def test_what_is_left_out_of_a_page_is_counted_and_the_result_is_bounded() -> None:
    image = Image.new("RGB", (1280, 640), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(12)
    for top in range(0, 640, 32):
        draw.text((0, top), "The quick brown fox jumps over it " * 5, (0, 0, 0), font=font)
    (text,) = read(np.asarray(image))
    assert text.left_out > 0
    assert len(text.lines) * 100 < RESULT_MAX_BYTES


@pytest.mark.integration
async def test_files_are_decoded_in_proportion_and_read(tmp_path: Path) -> None:
    store = open_store("file:", tmp_path)
    svg = (
        b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10">'
        b'<rect width="20" height="10" fill="red"/></svg>'
    )
    png = io.BytesIO()
    banner(1800, 600).save(png, "PNG")
    small = io.BytesIO()
    Image.new("RGB", (40, 20)).save(small, "PNG")
    digests = []
    for body in (png.getvalue(), small.getvalue(), svg, b"no picture"):
        digests.append(hashlib.sha256(body).digest())
        await store.put(body, digests[-1], "image/png")
    decoders = Decoders(1)
    try:
        pictures = StoredPictures(store, decoders, max_pixels=10_000_000)
        seen = [await pictures(sha256, 1280) for sha256 in digests[:3]]
        shapes = [None if each is None else each.shape for each in seen]
        assert shapes == [(427, 1280, 3), (20, 40, 3), (640, 1280, 3)]
        assert seen[0] is not None
        (text,) = read(seen[0])
        assert "SUMMER SALE" in text.text
        with pytest.raises(Unreadable):
            await pictures(digests[3], 1280)
        assert await pictures(bytes(32), 1280) is None
    finally:
        decoders.close()


def test_it_is_installed() -> None:
    assert TEXT_READING in discover_asset_steps()
