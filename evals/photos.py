"""Real pictures, fetched by package name into a folder that is never committed.

`album` has 125 photographs (some of paintings), `wallpapers` larger ones and rendered scenes,
`stamps` cut-out objects with their names, `icons` marks of brands. They come from Debian packages
(``apt-get download``, unpacked with ``dpkg-deb -x``; nothing is installed), the icons from the
demo's npm package. `npm_packages` fetches the other rooms' pictures: ``package.json`` beside this
file names them, ``package-lock.json`` has their hashes.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import Image
from scripts.debian import CannotFetch, unpacked

from evals.page import ROOT

FOLDER = Path(os.environ.get("TRIPTYCH_EVAL", ROOT / ".triptych-eval"))
WALLPAPERS = (
    "plasma-workspace-wallpapers",
    "mate-backgrounds",
    "lomiri-wallpapers-16.04",
    "lomiri-wallpapers-20.04",
    "ukui-wallpapers",
)
GCOMPRIS = "gcompris-qt-data"
GCOMPRIS_PHOTOS = (
    "explore_monuments",
    "erase",
    "details",
    "explore_world_animals",
    "explore_farm_animals",
)
"""Activities of a learning game whose resource files hold photographs, as WebP."""
STAMPS = "tuxpaint-stamps-default"
"""Cut-out photographs and drawings in folders by subject, each beside a text that names it."""
ICONS = ROOT / "demo" / "node_modules" / "@lobehub" / "icons-static-png"
SIDE_MAX = 1_280
"""Photographs are brought to this side at most: they come with up to 5,640."""
SIDE_MIN = 300
QUALITY = 92
PICTURES = frozenset({".jpg", ".png", ".webp"})
LISTED = ("package.json", "package-lock.json")
NPM_SECONDS_MAX = 600
"""How long fetching the npm packages, some 130 MB, may take."""


def package(name: str) -> Path:
    """Return the folder with a Debian package's files, fetched if it is not there."""
    try:
        return unpacked([name], FOLDER / name)
    except CannotFetch as error:
        sys.exit(f"error: {error}")


@cache
def npm_packages() -> Path:
    """Return the folder of the npm packages of ``package.json``, fetched if the list changed.

    npm checks each against the hash in ``package-lock.json``; their scripts do not run.
    """
    folder = FOLDER / "npm"
    listed = Path(__file__).parent
    done = folder / "fetched-package-lock.json"
    lock = (listed / LISTED[1]).read_bytes()
    if not done.is_file() or done.read_bytes() != lock:
        folder.mkdir(parents=True, exist_ok=True)
        for name in LISTED:
            shutil.copyfile(listed / name, folder / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            subprocess.run(command, cwd=folder, check=True, timeout=NPM_SECONDS_MAX)
        except (OSError, subprocess.SubprocessError) as error:
            sys.exit(f"error: cannot fetch the packages of evals/package.json: {error}")
        done.write_bytes(lock)
    return folder / "node_modules"


def album() -> dict[str, bytes]:
    """Return the photographs of GCompris's resource files, WebP of at least `SIDE_MIN` a side."""
    found: dict[str, bytes] = {}
    for activity in GCOMPRIS_PHOTOS:
        file = package(GCOMPRIS) / "usr" / "share" / "gcompris-qt" / "rcc" / f"{activity}.rcc"
        body = file.read_bytes()
        for match in re.finditer(rb"RIFF(....)WEBP", body, re.DOTALL):
            length = int.from_bytes(match[1], "little") + 8
            picture = body[match.start() : match.start() + length]
            with Image.open(io.BytesIO(picture)) as image:
                if min(image.size) >= SIDE_MIN:
                    found[f"{activity}/{len(found)}"] = picture
    return found


def wallpapers() -> dict[str, Path]:
    """Return photographs and rendered scenes, by a name each; no two show one picture."""
    found: dict[str, Path] = {}
    for name in WALLPAPERS:
        for path in _pictures(package(name) / "usr" / "share"):
            inside = path.parts
            # Sizes and moods of a picture beside it, and a desktop's line art, laid over nothing.
            if path.stem == "screenshot" or {"images_dark", "abstract", "desktop"} & set(inside):
                continue
            # Plasma keeps the sizes of one picture in one folder.
            title = inside[-4] if path.parent.name == "images" else path.stem
            found.setdefault(f"{name}/{title}", path)
    return found


def stamps() -> dict[str, Path]:
    """Return Tux Paint's stamps that are pixels, by their path; their texts lie beside them."""
    root = package(STAMPS) / "usr" / "share" / "tuxpaint" / "stamps"
    return {str(path.relative_to(root)): path for path in _pictures(root)}


def icons() -> dict[str, Path]:
    """Return the demo's icons by file name: about 340 brands, each in several variants."""
    if not ICONS.is_dir():
        sys.exit("error: the demo's packages are not there: run `npm ci` in demo/.")
    return {str(path.relative_to(ICONS)): path for path in _pictures(ICONS)}


def reduced(picture: Path | bytes) -> Image.Image:
    """Return a photograph as a site would have it: RGB, at most `SIDE_MAX` a side."""
    with Image.open(io.BytesIO(picture) if isinstance(picture, bytes) else picture) as image:
        image.draft("RGB", (SIDE_MAX, SIDE_MAX))
        small = image.convert("RGB")
    small.thumbnail((SIDE_MAX, SIDE_MAX), Image.Resampling.LANCZOS)
    return small


def jpeg(image: Image.Image, quality: int = QUALITY) -> bytes:
    """Return a picture's bytes as JPEG."""
    body = io.BytesIO()
    image.convert("RGB").save(body, "JPEG", quality=quality)
    return body.getvalue()


def _pictures(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.suffix.lower() in PICTURES and path.is_file() and not path.is_symlink():
            yield path
