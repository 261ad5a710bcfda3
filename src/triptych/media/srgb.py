"""Colour management: pixels of an ICC profile into sRGB, as browsers show them.

The profile (ICC.1:2022) says which colours the samples mean; everything that looks at pixels here
takes them for sRGB. lcms2 computes, relative colorimetric and without black point compensation: the
darkest ink of a press stays as light as it is, as in browsers.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

PROFILE_MAX_BYTES = 4 * 1024**2
"""Larger profiles are ignored; those of printing presses have half of it."""
CACHED = 16
"""Transforms kept in memory: a brand's pictures have a handful of profiles."""
SAME_LEVELS = 2
"""Levels of 255 by which a profile may differ from sRGB and still count as sRGB."""
SPACE = slice(16, 20)
"""Where a profile's header names the colour space of its samples."""
DATE = slice(24, 36)
IDENTITY = slice(84, 100)
"""The profile's own hash. This and the date differ in profiles that mean the same."""
HEADER_BYTES = 128
GREY_MODES = frozenset({"1", "L", "LA"})
INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
IDENTICAL = list(range(256))
CUBE = np.stack(np.meshgrid(*[np.linspace(0, 255, 9)] * 3), axis=-1).round().astype(np.uint8)
"""Colours over the whole of RGB, shape (9, 9, 9, 3): a profile that keeps them is sRGB."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """How samples of one profile become sRGB."""

    transform: ImageCms.ImageCmsTransform | None = None
    """Of lcms2, for RGB and CMYK."""
    levels: tuple[int, ...] = ()
    """The sRGB level of each grey level, for a grey profile."""


def apply_profile(image: Image.Image, profile: bytes | None, *, grey: bool = False) -> Image.Image:
    """Return the picture in sRGB, in its mode, or RGB if it was CMYK. It may be changed in place.

    A picture stays as it is without a profile, with that of sRGB, and with one that is broken or
    not of its colour space. Transparency stays. See `conversion` for the arguments.
    """
    found = conversion(image.mode, profile, grey=grey)
    if found is None:
        return image
    if found.levels:
        alpha = IDENTICAL if image.mode == "RGBA" else []
        return image.point([*found.levels * 3, *alpha])
    assert found.transform is not None
    in_place = image.mode != "CMYK"
    converted = ImageCms.applyTransform(image, found.transform, inPlace=in_place)
    return image if converted is None else converted


def conversion(mode: str, profile: bytes | None, *, grey: bool = False) -> Conversion | None:
    """Return how pictures of a profile become sRGB; None if they stay as they are.

    Args:
        mode: of the picture: RGB, RGBA or CMYK.
        profile: ICC.
        grey: whether its samples were grey before they became RGB.
    """
    if not profile or not HEADER_BYTES < len(profile) <= PROFILE_MAX_BYTES:
        return None
    space = profile[SPACE]
    if (space == b"CMYK") != (mode == "CMYK") or (space == b"GRAY" and not grey):
        return None
    return _conversion(_nameless(profile), mode)


def _nameless(profile: bytes) -> bytes:
    """Return a profile without date and hash, so that equal ones are cached once."""
    bare = bytearray(profile)
    for field in (DATE, IDENTITY):
        bare[field] = bytes(field.stop - field.start)
    return bytes(bare)


@lru_cache(maxsize=CACHED)
def _conversion(profile: bytes, mode: str) -> Conversion | None:
    """Return how to convert; None if the picture is to stay as it is."""
    space = profile[SPACE]
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        if space == b"GRAY":
            ramp = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
            transform = ImageCms.buildTransform(source, target, "L", "RGB", INTENT)
            shown = ImageCms.applyTransform(ramp, transform)
            assert shown is not None
            levels = np.asarray(shown)[0, :, 1].tolist()
            return None if _alike(levels, IDENTICAL) else Conversion(levels=tuple(levels))
        output = "RGB" if space == b"CMYK" else mode
        transform = ImageCms.buildTransform(source, target, mode, output, INTENT)
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        # A broken profile costs the colours' exactness, not the picture; browsers do the same.
        return None
    if space != b"CMYK":
        cube = Image.fromarray(CUBE.reshape(-1, 9, 3)).convert(mode)
        shown = ImageCms.applyTransform(cube, transform)
        if _alike(np.asarray(shown), np.asarray(cube)):
            return None
    return Conversion(transform)


def _alike(first: object, second: object) -> bool:
    away = np.asarray(first, np.int16) - np.asarray(second, np.int16)
    return bool(np.abs(away).max() <= SAME_LEVELS)
