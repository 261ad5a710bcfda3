"""A report's pictures: contact sheets, the palette, the map. Drawn from thumbnails only."""

from __future__ import annotations

import colorsys
import hashlib
import io
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

from triptych.snapshots.reports.contents import Family, Point

CELL = 160
"""Side of a picture on a sheet, in pixels."""
GAP = 10
HEAD = 30
"""Height of a row's heading."""
MARGIN = 20
MAP_SIDE = 900
PALETTE_SIZE = (900, 120)
PAPER = (255, 255, 255)
INK = (24, 26, 32)
FAINT = (120, 124, 134)
PLATE = (240, 241, 244)
"""Background of each picture, so that white and transparent ones are visible."""
NOISE = (190, 193, 200)

Thumbs = Mapping[str, Image.Image]
"""By an object's SHA-256."""


def read_thumb(body: bytes) -> Image.Image:
    """Read a thumbnail made by Triptych."""
    with Image.open(io.BytesIO(body), formats=("WEBP",)) as image:
        return image.convert("RGBA")


def sheet(families: Sequence[Family], thumbs: Thumbs, columns: int) -> bytes:
    """Return a PNG with a row for each group: its label and size, then its pictures."""
    width = 2 * MARGIN + columns * CELL + (columns - 1) * GAP
    height = 2 * MARGIN + len(families) * (HEAD + CELL + GAP)
    paper = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(paper)
    bold, plain = _font(18), _font(15)
    for row, family in enumerate(families):
        top = MARGIN + row * (HEAD + CELL + GAP)
        label = _shown(family.label)
        draw.text((MARGIN, top), label, fill=INK, font=bold)
        beside = MARGIN + draw.textlength(label, font=bold) + 10
        draw.text((beside, top + 2), f"{family.size:,}", fill=FAINT, font=plain)
        for column, asset in enumerate(family.assets[:columns]):
            spot = (MARGIN + column * (CELL + GAP), top + HEAD)
            draw.rounded_rectangle((*spot, spot[0] + CELL, spot[1] + CELL), 6, fill=PLATE)
            if (thumb := thumbs.get(asset.sha256)) is not None:
                _paste(paper, thumb, spot)
    return _png(paper)


def palette(colours: Sequence[Mapping[str, object]]) -> bytes:
    """Return a PNG with a band for each colour, as wide as its share."""
    paper = Image.new("RGB", PALETTE_SIZE, PAPER)
    draw = ImageDraw.Draw(paper)
    shares = [max(float(str(entry["share"])), 0.0) for entry in colours]
    whole = sum(shares) or 1.0
    left = 0.0
    for entry, share in zip(colours, shares, strict=True):
        right = left + PALETTE_SIZE[0] * share / whole
        draw.rectangle((left, 0, right, PALETTE_SIZE[1]), fill=str(entry["colour"]))
        left = right
    return _png(paper)


def scatter(points: Sequence[Point]) -> bytes:
    """Return a PNG of the map: a dot for each asset, clusters in colours of their own."""
    scale = 2  # Drawn larger and scaled down, for smooth dots.
    side = MAP_SIDE * scale
    paper = Image.new("RGB", (side, side), PAPER)
    draw = ImageDraw.Draw(paper)
    inner = side / 2 - MARGIN * scale
    radius = max(1.0, min(7.0, 160 / max(len(points), 1) ** 0.5)) * scale
    # Noise first, so that clusters lie on top of it.
    for point in sorted(points, key=lambda point: point.cluster or ""):
        x, y = side / 2 + point.x * inner, side / 2 - point.y * inner
        fill = NOISE if point.cluster is None else colour_of(point.cluster)
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)
    return _png(paper.resize((MAP_SIDE, MAP_SIDE), Image.Resampling.LANCZOS))


def colour_of(cluster: str) -> tuple[int, int, int]:
    """Return the colour of a cluster: the same in every report, whatever else there is."""
    digest = hashlib.sha256(cluster.encode()).digest()
    light = 0.42 + digest[1] / 255 * 0.16
    rgb = colorsys.hls_to_rgb(digest[0] / 255, light, 0.6)
    return tuple(round(255 * channel) for channel in rgb)  # type: ignore[return-value]


def _paste(paper: Image.Image, thumb: Image.Image, spot: tuple[int, int]) -> None:
    fitted = thumb.copy()
    fitted.thumbnail((CELL - 12, CELL - 12), Image.Resampling.LANCZOS)
    place = (spot[0] + (CELL - fitted.width) // 2, spot[1] + (CELL - fitted.height) // 2)
    paper.paste(fitted, place, fitted)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _shown(text: str) -> str:
    short = text if len(text) <= 60 else text[:59] + "…"
    return "".join(char if char.isprintable() else "\ufffd" for char in short)


def _png(image: Image.Image) -> bytes:
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return written.getvalue()
