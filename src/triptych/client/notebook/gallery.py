"""Assets as a gallery in HTML: thumbnails inline, within limits, and nothing of theirs as markup.

A notebook is a file that is kept and sent to others. So pictures are data URIs, which need neither
the server nor its key to be shown again.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

from triptych.errors import TriptychError
from triptych.snapshots.asset_shown import AssetShown

PICTURES_MAX = 24
"""Assets of one gallery."""
BYTES_MAX = 3 * 1024 * 1024
"""Bytes of all its thumbnails, before base64 makes them a third longer."""
WIDTH_PIXELS = 160
AT_ONCE = 8
"""Thumbnails that are asked for at the same time."""
NAME_MAX_CHARS = 60

_CELL = "display:inline-block;width:172px;margin:4px;vertical-align:top;font:12px sans-serif"
_PICTURE = f"max-width:{WIDTH_PIXELS}px;max-height:{WIDTH_PIXELS}px"
_NAME = "overflow-wrap:anywhere"


class Thumbnails(Protocol):
    """Where thumbnails come from: a `Client`."""

    async def thumbnail(self, asset: str, width: int) -> bytes:
        """Return a thumbnail as WebP."""
        ...


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An asset's thumbnail, or why there is none."""

    asset: AssetShown
    body: bytes = b""
    problem: str = ""


async def thumbnails(source: Thumbnails, assets: Sequence[AssetShown]) -> Sequence[Thumbnail]:
    """Return the thumbnails of the first `PICTURES_MAX` assets; those over `BYTES_MAX` say so."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(asset: AssetShown) -> Thumbnail:
        async with slots:
            try:
                return Thumbnail(asset, await source.thumbnail(asset.id, WIDTH_PIXELS))
            except TriptychError as error:
                return Thumbnail(asset, problem=error.message)

    found = await asyncio.gather(*(one(asset) for asset in assets[:PICTURES_MAX]))
    return list(_within_limit(found))


def _within_limit(found: Sequence[Thumbnail]) -> Sequence[Thumbnail]:
    kept, total = [], 0
    for each in found:
        total += len(each.body)
        if total > BYTES_MAX:
            limit = f"{BYTES_MAX / 1024**2:.0f} MiB"
            problem = f"Left out: the pictures of one gallery fill {limit}."
            kept.append(Thumbnail(each.asset, problem=problem))
        else:
            kept.append(each)
    return kept


def gallery_html(shown: Sequence[Thumbnail], heading: str) -> str:
    """Return a gallery as HTML. URLs, names and problems are text in it, whatever they contain."""
    cells = "".join(_cell(each) for each in shown)
    return f'<div style="font:13px sans-serif">{escape(heading)}</div><div>{cells}</div>'


def _cell(each: Thumbnail) -> str:
    asset = each.asset
    name = asset.url.rstrip("/").rsplit("/", 1)[-1] or asset.url
    pixels = f"{asset.width}×{asset.height} · " if asset.width and asset.height else ""
    if each.body:
        data = b64encode(each.body).decode("ascii")
        picture = (
            f'<img alt="{escape(name)}" style="{_PICTURE}" src="data:image/webp;base64,{data}">'
        )
    else:
        picture = f"<em>{escape(each.problem)}</em>"
    return (
        f'<div style="{_CELL}" title="{escape(asset.url)}">{picture}'
        f'<div style="{_NAME}">{escape(name[:NAME_MAX_CHARS])}</div>'
        f"<div>{escape(pixels + asset.media_type)}</div></div>"
    )
