"""Room `marks`: logos in versions, emoji and clip art."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image, ImageOps

from evals.edits import EDITS
from evals.page import Findings
from evals.pairs import Shown, compare, edited, on_white, spread
from evals.sources import SKIN_TONE, clip_art, emoji_3d, logos

LOGO_SIDE = 384
BRANDS = 60
VERSIONS_MAX = 4
DRAWINGS = 140
COMPARED_SIDE = 64
SAME_MAX = 4.0
"""Mean difference of two versions, of 255, below which they are one picture and one is left out."""
BLANK_MAX = 2.0
"""Deviation below which a mark on white shows nothing."""
EMOJI = 130
HANDS = ("1f44a", "1f44b", "1f44d", "1f44f", "1f466", "1f467", "1f469-200d-1f373")
"""Signs that are shown in every skin tone: hands, a boy, a girl, a cook."""
EDITED = 10

Shades = npt.NDArray[np.float64]

ABOUT = """
*Logos*: {brands} brands of Devicon (npm devicon), each in up to {versions} versions: coloured,
plain, line, with and without the name, those that look the same left out; drawn {side} pixels
wide. A family is a brand. *Emoji*:
{emoji} of Microsoft's rendered emoji (npm @lobehub/fluent-emoji-3d); a family is a sign in its skin
tones. *Clip art*: {drawings} outlined drawings of OpenMoji (npm openmoji), smileys, animals, flags
and objects, no two the same. {edited} of each are edited. Recall, false pairs and cosine as
in the room `packshots`.
"""


def measure() -> Findings:
    """Return recall by edit, the false pairs, and versions called copies."""
    drawn = {"logos": list(_logos()), "emoji": list(_emoji()), "clip art": list(_drawings())}
    siblings = {"logos": "versions of one logo", "emoji": "skin tones", "clip art": ""}
    about = ABOUT.format(
        brands=BRANDS,
        versions=VERSIONS_MAX,
        side=LOGO_SIDE,
        emoji=len(drawn["emoji"]),
        drawings=len(drawn["clip art"]),
        edited=EDITED,
    )
    figures = [
        figure
        for what, pictures in drawn.items()
        for figure in compare(what, [*pictures, *_edits(pictures)], siblings[what])
    ]
    return Findings("Logos, emoji and clip art", about, figures)


def _edits(pictures: list[Shown]) -> Iterator[Shown]:
    for one, before in spread(pictures, EDITED):
        yield from edited(one, before, MARK_EDITS, LOGO_SIDE)
        layer = Image.open(io.BytesIO(one.body)).convert("RGBA")
        for name, ground in GROUNDS.items():
            yield Shown(_on(layer, ground), one.picture, one.family, name)


def _logos() -> Iterator[Shown]:
    found = logos()
    step = max(1, len(found) // BRANDS)
    for brand in list(found)[: step * BRANDS : step]:
        seen: list[Shades] = []
        for path in found[brand][:VERSIONS_MAX]:
            body = _drawn(path.read_bytes())
            small = _shades(body)
            if small.std() >= BLANK_MAX and all(_apart(small, one) for one in seen):
                seen.append(small)
                yield Shown(body, path.stem, brand)


def _shades(body: bytes) -> Shades:
    """Return a mark on white, small."""
    size = (COMPARED_SIDE, COMPARED_SIDE)
    return np.asarray(ImageOps.pad(on_white(body), size, color="white"), np.float64)


def _apart(one: Shades, other: Shades) -> bool:
    """Whether two versions differ to the eye: Devicon's *plain* is often its *original*."""
    return float(np.abs(one - other).mean()) >= SAME_MAX


def _emoji() -> Iterator[Shown]:
    found = emoji_3d()
    plain = [code for code in found if not SKIN_TONE.search(code)]
    toned = [code for code in found if SKIN_TONE.search(code) and code.startswith(HANDS)]
    bases = {SKIN_TONE.sub("", code) for code in toned}
    step = max(1, len(plain) // EMOJI)
    for code in sorted({*plain[: step * EMOJI : step], *toned, *(bases & found.keys())}):
        yield Shown(_png(found[code].read_bytes()), code, SKIN_TONE.sub("", code))


def _drawings() -> Iterator[Shown]:
    found = [(code, path) for code, (path, group) in clip_art().items() if _single(code, group)]
    step = max(1, len(found) // DRAWINGS)
    for code, path in found[: step * DRAWINGS : step]:
        yield Shown(_drawn(path.read_bytes()), code)


def _single(code: str, group: str) -> bool:
    """Leave out letters and signs, and women and men beside persons: they hardly differ."""
    return group != "symbols" and not re.search(r"-264[02]", code)


def _drawn(svg: bytes) -> bytes:
    """Return an SVG as PNG, `LOGO_SIDE` wide, what is not drawn transparent."""
    return bytes(resvg_py.svg_to_bytes(svg_string=svg.decode(), width=LOGO_SIDE))


def _png(body: bytes) -> bytes:
    with Image.open(io.BytesIO(body)) as image:
        made = io.BytesIO()
        image.convert("RGBA").save(made, "PNG")
    return made.getvalue()


def _on(layer: Image.Image, colour: str) -> bytes:
    """Return a mark on a square of one colour, with clear space around it."""
    ground = Image.new("RGBA", (LOGO_SIDE, LOGO_SIDE), colour)
    small = ImageOps.contain(layer, (LOGO_SIDE * 2 // 3, LOGO_SIDE * 2 // 3))
    place = ((LOGO_SIDE - small.width) // 2, (LOGO_SIDE - small.height) // 2)
    ground.alpha_composite(small, place)
    made = io.BytesIO()
    ground.convert("RGB").save(made, "PNG")
    return made.getvalue()


GROUNDS: Mapping[str, str] = MappingProxyType(
    {"clear space, on white": "#ffffff", "on yellow": "#ffd23f", "on black": "#000000"}
)
MARK_EDITS: Mapping[str, Callable[[Image.Image, Image.Image], bytes]] = MappingProxyType(
    {
        "half size, JPEG": lambda image, _: EDITS["half size"](image),
        "padding": lambda image, _: EDITS["padding"](image),
        "grey": lambda image, _: EDITS["grey"](image),
    }
)
