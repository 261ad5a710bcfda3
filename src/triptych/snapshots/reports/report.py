"""Making a brand's report: its contents, pictures and pages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog
from PIL import Image

from triptych.errors import BadInput, NotFound, TriptychError
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.reports import sheets
from triptych.snapshots.reports.contents import (
    COPIES_MAX,
    OUTLIERS_MAX,
    REPRESENTATIVES_MAX,
    Contents,
    Family,
    ReportSource,
    read_contents,
)
from triptych.snapshots.reports.pages import markdown, page

THUMB_WIDTH = 160
THUMBS_AT_ONCE = 8

log = structlog.get_logger(__name__)

Summarise = Callable[[Contents], Awaitable[str]]
"""Writes a few sentences about a brand; may fail."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report as files by their names."""

    files: Mapping[str, bytes]
    problems: tuple[str, ...] = ()
    """What is missing from the report, and why."""


async def make_report(source: ReportSource, summarise: Summarise | None = None) -> Report:
    """Return the report of a brand's current snapshot: Markdown, HTML and PNGs.

    A summary that fails is recorded as a problem; the report is made without it.

    Raises:
        BrandNotFound, Conflict: there is nothing to report on.
    """
    contents = await read_contents(source)
    thumbs, missing = await _thumbs(contents, source)
    pictures = await asyncio.to_thread(_pictures, contents, thumbs)
    problems = [f"{missing} pictures could not be shown"] if missing else []
    summary = None
    if summarise is not None:
        try:
            summary = await summarise(contents)
        except TriptychError as error:
            log.warning("summary_failed", brand=contents.brand.name, error=str(error))
            problems.append(f"no summary: {error}")
    text = markdown(contents, pictures, summary)
    files = {
        "report.md": text.encode(),
        "report.html": page(text, contents.brand.name, pictures).encode(),
        **pictures,
    }
    return Report(files, tuple(problems))


async def _thumbs(contents: Contents, source: ReportSource) -> tuple[dict[str, Image.Image], int]:
    shown = {
        asset.sha256: asset
        for family in (*contents.clusters, *contents.duplicates)
        for asset in family.assets
    } | {one.asset.sha256: one.asset for one in contents.outliers}
    slots = asyncio.Semaphore(THUMBS_AT_ONCE)

    async def one(asset: AssetShown) -> Image.Image | None:
        async with slots:
            try:
                body = await source.thumbnail(asset, THUMB_WIDTH)
            except (NotFound, BadInput, TriptychError) as error:
                log.info("thumbnail_missing", object=asset.sha256, error=str(error))
                return None
        return await asyncio.to_thread(sheets.read_thumb, body)

    wanted = sorted(shown)
    made = await asyncio.gather(*(one(shown[sha256]) for sha256 in wanted))
    there = {sha: thumb for sha, thumb in zip(wanted, made, strict=True) if thumb is not None}
    return there, len(wanted) - len(there)


def _pictures(contents: Contents, thumbs: sheets.Thumbs) -> dict[str, bytes]:
    """Draw the pictures for which there is data."""
    pictures: dict[str, bytes] = {}
    if contents.clusters:
        pictures["clusters.png"] = sheets.sheet(contents.clusters, thumbs, REPRESENTATIVES_MAX)
    if contents.duplicates:
        pictures["duplicates.png"] = sheets.sheet(contents.duplicates, thumbs, COPIES_MAX)
    if contents.outliers:
        strip = Family("Off brand", len(contents.outliers), [o.asset for o in contents.outliers])
        pictures["outliers.png"] = sheets.sheet([strip], thumbs, OUTLIERS_MAX)
    if colours := contents.result("look").get("palette"):
        pictures["palette.png"] = sheets.palette(colours)
    if contents.points:
        pictures["map.png"] = sheets.scatter(contents.points)
    return pictures
