"""One product in several colours is several pictures; copies made grey are found."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import combinations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageEnhance

from tests.support.proof_size import at_full_size
from tests.support.snapshots import snapshot_of
from triptych.ai.context import Context
from triptych.ai.steps.duplicates.duplicates import find_duplicates
from triptych.media.decode import decode

SIDE = 400
HASH = 0x5A5A_5A5A_5A5A_5A5A
"""All look alike to both fingerprints, so that colours alone decide."""
COLOURS = {
    "red": (200, 30, 30),
    "blue": (30, 60, 200),
    "green": (40, 140, 60),
    "yellow": (230, 200, 40),
    "black": (25, 25, 28),
    "white": (238, 238, 236),
    "grey": (125, 125, 125),
    "brown": (110, 70, 40),
    "orange": (230, 130, 30),
    "sky": (130, 190, 230),
}
GREYS: dict[str, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
    "BT.601": lambda rgb: rgb @ [0.299, 0.587, 0.114],
    "BT.709": lambda rgb: rgb @ [0.2126, 0.7152, 0.0722],
    "mean": lambda rgb: rgb.mean(axis=2),
    "lightness": lambda rgb: (rgb.max(axis=2) + rgb.min(axis=2)) / 2,
}
GROUNDS = {"shaded": (225, 225, 225, 0.1), "white": (255, 255, 255, 0), "beige": (230, 205, 170, 0)}


@cache
def shape(name: str) -> npt.NDArray[np.bool_]:
    image = Image.new("L", (SIDE, SIDE))
    draw = ImageDraw.Draw(image)
    if name == "mug":
        draw.rectangle((111, 91, 269, 319), fill=255)
    elif name == "shirt":
        draw.polygon(
            (60, 110, 150, 60, 250, 60, 340, 110, 310, 180, 275, 160, 275, 350, 125, 350, 125, 160),
            fill=255,
        )
    else:
        draw.ellipse((150, 160, 250, 240), fill=255)
        draw.rectangle((185, 120, 215, 170), fill=255)
    return np.asarray(image) > 0


@cache
def noise() -> npt.NDArray[np.float64]:
    return np.random.default_rng(3).normal(0, 3, (SIDE, SIDE, 3))


@cache
def product(name: str, colour: str, ground: str) -> Image.Image:
    """A thing in a colour, with the shading and the noise of a photograph; not to be changed."""
    down, across = np.mgrid[0:SIDE, 0:SIDE]
    *level, slope = GROUNDS[ground]
    picture = np.array(level)[None, None] - down[..., None] * slope
    light = 0.55 + 0.45 * np.exp(-(((across - 160) / 60.0) ** 2))
    gloss = 40 * np.exp(-(((across - 150) / 12.0) ** 2))
    lit = np.clip(np.array(COLOURS[colour]) * light[..., None] + gloss[..., None], 0, 255)
    picture = np.where(shape(name)[..., None], lit, picture)
    return Image.fromarray((picture + noise()).clip(0, 255).astype(np.uint8))


def jpeg(image: Image.Image, quality: int = 90) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def greyed(image: Image.Image, how: str, side: int = SIDE) -> bytes:
    level = GREYS[how](np.asarray(image, float))
    return jpeg(Image.fromarray(np.rint(level).astype(np.uint8)).resize((side, side)))


def groups(bodies: Mapping[str, bytes], order: Sequence[int] | None = None) -> set[frozenset[str]]:
    """Return the groups by name; ``order`` is that of the assets."""
    names = [list(bodies)[at] for at in order] if order is not None else list(bodies)
    files = [bodies[name] for name in names]

    def look(row: int, side: int) -> npt.NDArray[np.uint8]:
        return decode(files[row], size=side, max_pixels=1_000_000).pixels

    seen = [decode(file, size=32, max_pixels=1_000_000) for file in files]
    snapshot = snapshot_of(
        np.tile(np.array([[1, 0]], np.float16), (len(files), 1)),
        phash=[HASH] * len(files),
        contents=[file.hex() for file in files],
        sides=[one.width for one in seen],
        size_bytes=[len(file) for file in files],
        keys=names,
        context=Context(pixels=look),
    )
    snapshot = replace(snapshot, heights=np.array([one.height for one in seen]))
    name_of = {snapshot.key(row): name for row, name in enumerate(names)}
    found = find_duplicates(snapshot).result["groups"]
    return {frozenset(name_of[key] for key in group["members"]) for group in found}


def test_a_grey_product_does_not_join_two_in_colour() -> None:
    three = {colour: jpeg(product("mug", colour, "shaded")) for colour in ("red", "blue", "grey")}
    for pair in combinations(three, 2):
        assert groups({colour: three[colour] for colour in pair}) == set()
    assert groups(three) == set()


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("name", ["mug", "shirt", "small"])
def test_ten_colours_of_a_product_are_ten_pictures(name: str, ground: str) -> None:
    assert groups({colour: jpeg(product(name, colour, ground)) for colour in COLOURS}) == set()


@pytest.mark.parametrize("how", GREYS)
@pytest.mark.parametrize("ground", GROUNDS)
def test_a_grey_copy_is_found_with_its_original_only(how: str, ground: str) -> None:
    colours = ("red", "blue", "yellow", "grey", "sky")
    bodies = {colour: jpeg(product("mug", colour, ground)) for colour in colours}
    # The lightness of this red and this blue is one grey: nobody can tell which it was.
    originals = ("yellow", "sky")
    for original in originals:
        bodies[f"{original} in grey"] = greyed(product("mug", original, ground), how, 300)
    assert groups(bodies) == {frozenset({one, f"{one} in grey"}) for one in originals}


def check_edits_stay(ground: str, colours: Sequence[str]) -> None:
    bodies: dict[str, bytes] = {}
    for colour in colours:
        image = product("mug", colour, ground)
        warm = np.asarray(image, float) * [1.05, 1.0, 0.95]
        bodies |= {
            f"{colour} original": jpeg(image, 92),
            f"{colour} half": jpeg(image.resize((SIDE // 2, SIDE // 2))),
            f"{colour} compressed": jpeg(image, 40),
            f"{colour} brighter": jpeg(ImageEnhance.Brightness(image).enhance(1.12)),
            f"{colour} warm": jpeg(Image.fromarray(warm.clip(0, 255).astype(np.uint8))),
        }
    wanted = {
        frozenset(name for name in bodies if name.startswith(f"{colour} ")) for colour in colours
    }
    assert groups(bodies) == wanted


EDITED = {
    "shaded": ("red", "blue", "black", "grey"),
    "white": ("red", "white", "grey", "brown"),
    "beige": ("blue", "black", "white", "brown"),
}
"""Any two colours are together on one of the grounds."""


@pytest.mark.parametrize("ground", EDITED)
def test_edits_of_every_colour_stay_with_it(ground: str) -> None:
    check_edits_stay(ground, EDITED[ground])


@at_full_size
@pytest.mark.parametrize("ground", GROUNDS)
def test_edits_of_all_colours_stay_with_them_on_every_ground(ground: str) -> None:
    check_edits_stay(ground, ("red", "blue", "black", "white", "grey", "brown"))


def test_the_order_of_the_assets_changes_nothing() -> None:
    bodies: dict[str, bytes] = {}
    for colour in ("red", "blue", "grey"):
        image = product("mug", colour, "shaded")
        bodies |= {colour: jpeg(image), f"{colour} half": jpeg(image.resize((200, 200)))}
        bodies[f"{colour} grey"] = greyed(image, "BT.601")
    found = groups(bodies)
    random = np.random.default_rng(0)
    for _ in range(2):
        assert groups(bodies, random.permutation(len(bodies)).tolist()) == found
