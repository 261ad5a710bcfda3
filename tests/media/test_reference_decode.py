"""Decoded pixels and embeddings equal those of a plain, full decode, within stated tolerances.

The reference takes no short cut: every pixel is decoded, and one resampling brings all of them to
the square. Where a format loses nothing, it is the very pixels that were written.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pi_heif
import pytest
from PIL import Image, ImageOps

from tests.support.bombs import SVG_NS
from tests.support.data_folder import provide_models
from tests.support.photo import HEIC, HEIC_SIZE, encode, photo
from triptych.embedders.bundled import bundled_model
from triptych.embedders.onnx_embedder import OnnxEmbedder
from triptych.media.decode import decode

MEAN_MAX = 0.5
"""Levels of 255 by which samples may differ, on the mean: resampling in two steps."""
MEAN_MAX_DRAWN = 1.0
"""The same for SVG: the renderer resamples once more."""
COSINE_MIN = 0.998
LOSSY_MAX = 8.0
"""Levels, on the mean, that a lossy format may take away from what was written."""
WIDTH, HEIGHT = 960, 720

Pixels = npt.NDArray[np.uint8]
Case = tuple[bytes, Image.Image | None]
"""A file, and what was written into it if nothing of that is lost."""


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> OnnxEmbedder:
    data = tmp_path_factory.mktemp("data")
    provide_models(data)
    return OnnxEmbedder(bundled_model(data / "models"), threads=1)


def sideways() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(photo(WIDTH, HEIGHT), "JPEG", quality=90, exif=exif)


def drawing() -> bytes:
    data = base64.b64encode(encode(photo(640, 480), "PNG")).decode()
    image = f'<image width="640" height="480" href="data:image/png;base64,{data}"/>'
    return f'<svg {SVG_NS} width="640" height="480">{image}</svg>'.encode()


def cut_out() -> Image.Image:
    image = photo(WIDTH, HEIGHT).convert("RGBA")
    image.putalpha(Image.radial_gradient("L").resize(image.size))
    return image


def deep() -> Image.Image:
    grey = np.asarray(photo(WIDTH, HEIGHT).convert("L"), np.uint16)
    return Image.fromarray(grey * 257)


def plain(body: bytes) -> Image.Image:
    """Decode all of it with Pillow alone."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(body)))
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    white = Image.new("RGBA", rgba.size, "white")
    return Image.alpha_composite(white, rgba).convert("RGB")


def heic() -> Image.Image:
    file = pi_heif.open_heif(io.BytesIO(HEIC))
    return Image.fromarray(np.asarray(file[0]))


def written(kind: str, width: int = WIDTH, height: int = HEIGHT, **options: Any) -> Case:
    return encode(photo(width, height), kind, **options), None


def lossless(kind: str, **options: Any) -> Case:
    return written(kind, **options)[0], photo(WIDTH, HEIGHT)


CASES: dict[str, Callable[[], Case]] = {
    "JPEG": lambda: written("JPEG", quality=90),
    "JPEG of 4:4:4": lambda: written("JPEG", quality=95, subsampling=0),
    "JPEG, progressive": lambda: written("JPEG", progressive=True),
    "JPEG, four times scaled": lambda: written("JPEG", 2400, 1800, quality=90),
    "JPEG on its side": lambda: (sideways(), None),
    "JPEG of CMYK": lambda: (encode(photo(WIDTH, HEIGHT).convert("CMYK"), "JPEG"), None),
    "PNG": lambda: lossless("PNG", compress_level=1),
    "PNG of 16 bits": lambda: (encode(deep(), "PNG", compress_level=1), None),
    "PNG, transparent": lambda: (encode(cut_out(), "PNG", compress_level=1), None),
    "PNG of a palette": lambda: (encode(photo(WIDTH, HEIGHT).quantize(256), "PNG"), None),
    "WebP": lambda: written("WEBP", quality=90, method=0),
    "WebP, lossless": lambda: lossless("WEBP", lossless=True, method=0, quality=0),
    "GIF": lambda: (encode(photo(WIDTH, HEIGHT).quantize(256), "GIF"), None),
    "AVIF": lambda: written("AVIF", quality=90, speed=10),
    "HEIC": lambda: (HEIC, heic()),
    "TIFF": lambda: lossless("TIFF"),
    "TIFF, deflated": lambda: lossless("TIFF", compression="tiff_deflate"),
    "BMP": lambda: lossless("BMP"),
    "SVG": lambda: (drawing(), photo(640, 480)),
}


def square(image: Image.Image, side: int) -> Pixels:
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC), np.uint8)


def mean_difference(first: Pixels, second: Pixels) -> float:
    return float(np.abs(first.astype(np.int16) - second.astype(np.int16)).mean())


@pytest.mark.parametrize("name", CASES)
def test_pixels_and_embeddings_equal_a_plain_decode(name: str, embedder: OnnxEmbedder) -> None:
    body, original = CASES[name]()
    reference = square(original or plain(body), embedder.input_size)
    found = decode(body, size=embedder.input_size, max_pixels=100_000_000).pixels
    difference = mean_difference(found, reference)
    ours, theirs = np.asarray(embedder.embed(np.stack([found, reference])), np.float64)
    cosine = float(ours @ theirs / np.linalg.norm(ours) / np.linalg.norm(theirs))
    print(f"{name}: {difference:.2f} levels, cosine {cosine:.5f}")
    assert difference <= (MEAN_MAX_DRAWN if name == "SVG" else MEAN_MAX)
    assert cosine >= COSINE_MIN


@pytest.mark.parametrize("name", ["JPEG", "WebP", "AVIF", "HEIC"])
def test_what_was_written_is_what_is_seen(name: str) -> None:
    size = HEIC_SIZE if name == "HEIC" else (WIDTH, HEIGHT)
    found = decode(CASES[name]()[0], size=224, max_pixels=100_000_000)
    assert (found.width, found.height) == size
    assert mean_difference(found.pixels, square(photo(*size), 224)) < LOSSY_MAX
