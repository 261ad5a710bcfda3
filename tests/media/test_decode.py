"""Decoding: the picture as it is meant to be seen, in every mode, or a reason."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, features

from triptych.errors import PermanentItemError
from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.media.fingerprint import hamming
from triptych.media.other_content import describe_content
from triptych.model import Reason

SIDE = 64
MAX_PIXELS = 1_000_000
LOSSY = 12.0
"""Mean difference of 8-bit samples that a lossy format may make."""


def scene(width: int = 128, height: int = 96) -> Image.Image:
    """A red top left, a green top right, blue below: easy to tell when turned."""
    image = Image.new("RGB", (width, height), (40, 60, 200))
    image.paste((220, 40, 40), (0, 0, width // 2, height // 2))
    image.paste((40, 200, 60), (width // 2, 0, width, height // 2))
    return image


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def open_(body: bytes) -> Decoded:
    return decode(body, size=SIDE, max_pixels=MAX_PIXELS)


def reference(image: Image.Image) -> np.ndarray:
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(small, np.int16)


def difference(decoded: Decoded, image: Image.Image) -> float:
    return float(np.abs(decoded.pixels.astype(np.int16) - reference(image)).mean())


def refused(body: bytes, **options: int) -> PermanentItemError:
    with pytest.raises(PermanentItemError) as error:
        decode(body, size=SIDE, max_pixels=options.get("max_pixels", MAX_PIXELS))
    return error.value


@pytest.mark.parametrize(
    ("kind", "media_type"),
    [
        ("PNG", "image/png"),
        ("JPEG", "image/jpeg"),
        ("WEBP", "image/webp"),
        ("GIF", "image/gif"),
        ("BMP", "image/bmp"),
        ("TIFF", "image/tiff"),
        *([("AVIF", "image/avif")] if features.check("avif") else []),
    ],
)
def test_formats_are_told_by_content(kind: str, media_type: str) -> None:
    decoded = open_(encode(scene(), kind))
    assert (decoded.width, decoded.height, decoded.media_type) == (128, 96, media_type)
    assert decoded.pixels.shape == (SIDE, SIDE, 3)
    assert difference(decoded, scene()) < LOSSY


def test_heic() -> None:
    # Made once from `scene` by pillow-heif, at quality 95: no encoder of HEVC is installed here.
    decoded = open_((Path(__file__).parents[1] / "data/scene.heic").read_bytes())
    assert (decoded.width, decoded.height, decoded.media_type) == (128, 96, "image/heic")
    assert difference(decoded, scene()) < LOSSY


def test_a_large_jpeg_is_decoded_at_a_smaller_scale_and_looks_the_same() -> None:
    large = scene(960, 720)
    decoded = open_(encode(large, "JPEG", quality=95))
    assert (decoded.width, decoded.height) == (960, 720)
    assert difference(decoded, large) < LOSSY


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = open_(encode(scene(), "JPEG", exif=exif, quality=95))
    turned = Image.open(io.BytesIO(encode(scene(), "JPEG", exif=exif, quality=95)))
    upright = ImageOps.exif_transpose(turned)
    assert (decoded.width, decoded.height) == upright.size
    assert difference(decoded, upright) < LOSSY


def test_transparency_is_laid_over_white() -> None:
    image = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 32, 64))
    pixels = open_(encode(image, "PNG")).pixels
    assert pixels[32, 8].tolist() == [200, 0, 0]
    assert pixels[32, 56].tolist() == [255, 255, 255]


def test_what_is_white_itself_stays_visible() -> None:
    image = Image.new("RGBA", (64, 64), (255, 255, 255, 0))
    image.paste((255, 255, 255, 255), (16, 16, 48, 48))
    pixels = open_(encode(image, "PNG")).pixels
    assert pixels[32, 32].tolist() == [255, 255, 255]
    assert pixels[2, 2].tolist() == [0, 0, 0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_modes_come_out_as_rgb(mode: str) -> None:
    grey = Image.linear_gradient("L").resize((64, 64))
    if mode == "I;16":
        image = Image.fromarray((np.asarray(grey, np.uint16) * 257).astype(np.uint16))
    else:
        image = grey.convert(mode)
    pixels = open_(encode(image, "PNG")).pixels
    assert pixels.shape == (SIDE, SIDE, 3)
    assert pixels[:8].mean() < 60 < 190 < pixels[-8:].mean()


def test_cmyk() -> None:
    decoded = open_(encode(scene().convert("CMYK"), "JPEG", quality=95))
    assert difference(decoded, scene().convert("CMYK").convert("RGB")) < LOSSY


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame(kind: str) -> None:
    other = Image.new("RGB", (128, 96), (0, 0, 0))
    body = encode(scene(), kind, save_all=True, append_images=[other, other])
    assert difference(open_(body), scene()) < LOSSY


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0"))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(100_000, 100_000), (1, 100_000_000), (2**31 - 1, 2**31 - 1)])
def test_g8_pixels_are_counted_before_they_are_allocated(size: tuple[int, int]) -> None:
    assert refused(png_that_declares(*size)).reason is Reason.TOO_MANY_PIXELS


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "TIFF"])
@pytest.mark.parametrize("tenth", range(1, 10))
def test_g9_a_file_cut_short_is_refused(kind: str, tenth: int) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (96, 128, 3), np.uint8)
    body = encode(Image.fromarray(noise), kind)
    error = refused(body[: len(body) * tenth // 10])
    assert error.reason in {Reason.UNDECODABLE, Reason.NOT_AN_IMAGE}
    assert error.detail


@pytest.mark.parametrize("body", [b"<html>", b"{}", b"%PDF-1.7", b"\0" * 100])
def test_g9_what_only_poses_as_an_image_is_described(body: bytes) -> None:
    error = refused(body)
    assert (error.reason, error.detail) == (Reason.NOT_AN_IMAGE, describe_content(body))


def test_fingerprints_are_near_for_edits_and_far_for_others() -> None:
    rng = np.random.default_rng(2)
    rough = Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8))
    picture = rough.resize((320, 240), Image.Resampling.BICUBIC)
    first = open_(encode(picture, "PNG")).phash
    edits = [
        encode(picture.resize((160, 120)), "PNG"),
        encode(picture, "JPEG", quality=30),
        encode(picture.point(lambda sample: min(255, sample * 1.15)), "PNG"),
    ]
    assert all(hamming(first, open_(edit).phash) <= 8 for edit in edits)
    others = [rng.integers(0, 255, (8, 8, 3), np.uint8) for _ in range(10)]
    for other in others:
        image = Image.fromarray(other).resize((320, 240), Image.Resampling.BICUBIC)
        assert hamming(first, open_(encode(image, "PNG")).phash) > 12
    assert -(2**63) <= first < 2**63
