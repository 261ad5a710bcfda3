"""Decoding: untrusted bytes into the square RGB picture that an embedder takes.

The whole picture is resized to the square: logos reach to their edges, and a crop would cut them;
the networks tolerate the change of aspect better than the loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from triptych.errors import PermanentItemError
from triptych.media.colours import dominant, sample
from triptych.media.decoded import Decoded
from triptych.media.fingerprint import phash, reduced
from triptych.media.other_content import describe_content
from triptych.media.raster import Raster, read_raster
from triptych.media.repair import read_repaired
from triptych.media.signatures import picture_type
from triptych.media.srgb import GREY_MODES, apply_profile, conversion
from triptych.media.svg_source import SVG, looks_like_svg
from triptych.model import Reason

DRAFT_FACTOR = 2
"""JPEG is decoded at no less than this many times the needed size (DCT scaling)."""
FINGERPRINT_SIDE = 448
"""At least this many pixels per side are hashed, so that small input sizes do not blur it."""
WHITE = (255, 255, 255, 255)
BLACK = (0, 0, 0, 255)
NEARLY_WHITE = 235.0
"""Mean of the darkest channel, weighted by alpha, above which a picture counts as white."""
GROUND_SIDE = 64
"""Side of the reduced picture that decides the background."""
STRIP_SAMPLES = 1_000_000
WIDE_MODES = frozenset({"I;16", "I;16B", "I;16L", "I", "F"})
SIDEWAYS = frozenset(
    {
        *(Image.Transpose.TRANSPOSE, Image.Transpose.TRANSVERSE),
        *(Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270),
    }
)
"""Turns that exchange width and height."""

T = TypeVar("T")


def decode(body: bytes, *, size: int, max_pixels: int, max_missing: float = 0.0) -> Decoded:
    """Decode ``body``; of an animation the first frame that is not of one colour.

    An ICC profile is converted to sRGB, EXIF orientation is applied, transparency is laid over
    white, and every mode becomes 8-bit RGB. The number of pixels is read from the header, before
    memory is allocated. Broken metadata are skipped. Safe to call from threads.

    Args:
        body: the file.
        size: side of the square in pixels.
        max_pixels: of the picture.
        max_missing: share of rows, 0..1, that may be missing at the end of a JPEG, PNG or WebP.

    Raises:
        PermanentItemError: not a picture, too many pixels, or broken.
    """
    return as_item_error(body, lambda: _decode(body, size, max_pixels, max_missing))


def as_item_error(body: bytes, work: Callable[[], T]) -> T:
    """Return ``work(body)``; any error becomes a reason.

    Raises:
        PermanentItemError: not a picture, too many pixels, or broken.
    """
    try:
        return work()
    except PermanentItemError:
        raise
    except UnidentifiedImageError as error:
        raise _unidentified(body) from error
    except MemoryError as error:
        raise PermanentItemError(Reason.TOO_MANY_PIXELS, "needs too much memory") from error
    except Exception as error:
        # Decoders raise almost anything on hostile bytes: struct.error, SyntaxError, IndexError …
        if picture_type(body) is None:
            raise _unidentified(body) from error
        raise PermanentItemError(Reason.UNDECODABLE, str(error) or type(error).__name__) from error


def _decode(body: bytes, size: int, max_pixels: int, max_missing: float) -> Decoded:
    # The hash does not depend on the embedder.
    side = max(DRAFT_FACTOR * size, FINGERPRINT_SIDE)
    opened = open_upright(body, side=side, max_pixels=max_pixels, max_missing=max_missing)
    # Reduced before it is laid over a background: each copy of the original is up to 400 MB.
    rgb = in_rgb(_reduced(opened.image, side))
    square = rgb.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=DRAFT_FACTOR)
    return Decoded(
        # Converting costs by the pixel, so each copy is converted at its own, smallest size.
        pixels=np.asarray(opened.in_srgb(square), dtype=np.uint8),
        width=opened.width,
        height=opened.height,
        media_type=opened.media_type,
        phash=phash(opened.in_srgb(reduced(rgb)) if opened.is_converted else rgb),
        colours=dominant(opened.in_srgb(sample(opened.image))),
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture, upright."""

    image: Image.Image
    """RGB or RGBA, in the colours of its profile; may be smaller than the original, see
    `open_upright`."""
    width: int
    """Of the original."""
    height: int
    media_type: str
    profile: bytes | None = None
    """ICC."""
    grey: bool = False
    """Whether its samples were grey."""

    @property
    def is_converted(self) -> bool:
        """Whether `in_srgb` changes anything."""
        return conversion(self.image.mode, self.profile, grey=self.grey) is not None

    def in_srgb(self, copy: Image.Image) -> Image.Image:
        """Return a reduced copy of the picture in sRGB; the fewer pixels, the cheaper."""
        if copy is self.image and self.profile:
            copy = copy.copy()
        return apply_profile(copy, self.profile, grey=self.grey)


def open_upright(body: bytes, *, side: int, max_pixels: int, max_missing: float) -> Opened:
    """Open a picture upright, the frame that stands for it, in 8-bit RGB or RGBA.

    A JPEG may be smaller, but no side is below ``side`` unless the original's is. An SVG is drawn
    with its longer side at ``side``. Raises almost anything: see `as_item_error`.
    """
    if looks_like_svg(body):
        # Imported for drawings only: a decoder starts a tenth sooner without.
        from triptych.media.svg import rasterise

        drawn, width, height = rasterise(body, side)
        return Opened(drawn, width, height, SVG)
    raster = _raster(body, side, max_pixels, max_missing)
    image = raster.image if raster.turn is None else raster.image.transpose(raster.turn)
    width, height = raster.width, raster.height
    if raster.turn in SIDEWAYS:
        width, height = height, width
    grey = image.mode in GREY_MODES or image.mode in WIDE_MODES
    if image.mode == "CMYK":
        image, profile = apply_profile(image, raster.profile), None
    else:
        profile = raster.profile
    return Opened(_to_8_bit(image), width, height, raster.media_type, profile, grey)


def _raster(body: bytes, side: int, max_pixels: int, max_missing: float) -> Raster:
    try:
        return read_raster(body, side=side, max_pixels=max_pixels)
    except (PermanentItemError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - raised again if nothing helps
        return read_repaired(body, error, side=side, max_pixels=max_pixels, max_missing=max_missing)


def _reduced(image: Image.Image, side: int) -> Image.Image:
    """Reduce a large picture by whole factors, neither side below ``side``."""
    factors = (max(1, image.width // side), max(1, image.height // side))
    return image if factors == (1, 1) else image.reduce(factors)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Convert any mode to 8-bit RGB, or RGBA if it may be transparent."""
    if image.mode in WIDE_MODES:
        image = _narrow(image)
    wanted = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def in_rgb(image: Image.Image) -> Image.Image:
    """Lay transparency over white, or over black if the picture is white."""
    if image.mode == "RGB":
        return image
    ground = Image.new("RGBA", image.size, _ground(image))
    return Image.alpha_composite(ground, image).convert("RGB")


def _ground(rgba: Image.Image) -> tuple[int, int, int, int]:
    """Choose the background of a transparent picture, so that a white logo stays visible."""
    small = np.asarray(rgba.reduce(max(1, max(rgba.size) // GROUND_SIDE)), np.float32)
    alpha = small[..., 3]
    visible = float(alpha.sum())
    if not visible:
        return WHITE
    light = float((small[..., :3].min(axis=2) * alpha).sum()) / visible
    return BLACK if light > NEARLY_WHITE else WHITE


def _narrow(image: Image.Image) -> Image.Image:
    """Scale samples of more than 8 bits to 8: 16-bit by their range, others by their content."""
    low, scale = _range(image)
    narrow = Image.new("L", image.size)
    for top, samples in _strips(image):
        with np.errstate(invalid="ignore", over="ignore"):
            levels = np.clip(np.nan_to_num((samples - low) * scale), 0, 255)
        narrow.paste(Image.fromarray(levels.astype(np.uint8)), (0, top))
    return narrow


def _range(image: Image.Image) -> tuple[float, float]:
    """Return the offset and the factor that map samples to 0..255."""
    if image.mode.startswith("I;16"):
        return 0.0, 1 / 257
    if image.mode == "I":
        highest = max(samples.max(initial=0) for _, samples in _strips(image))
        return 0.0, 1 / 257 if highest > 255 else 1.0
    low, high = math.inf, -math.inf
    for _, samples in _strips(image):
        finite = samples[np.isfinite(samples)]
        low = min(low, finite.min(initial=math.inf))
        high = max(high, finite.max(initial=-math.inf))
    return (low, 255.0 / max(high - low, 1e-9)) if low <= high else (0.0, 1.0)


def _strips(image: Image.Image) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """Yield a picture's rows in parts: all at once they take eight bytes per sample."""
    rows = max(1, STRIP_SAMPLES // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        yield top, np.asarray(strip, dtype=np.float64)


def _unidentified(body: bytes) -> PermanentItemError:
    if picture_type(body) is not None:
        return PermanentItemError(Reason.UNDECODABLE, "begins like a picture, but is not one")
    return PermanentItemError(Reason.NOT_AN_IMAGE, describe_content(body))
