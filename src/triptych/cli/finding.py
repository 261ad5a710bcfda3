"""Searching from the command line, and how what is found looks there."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from rich.table import Table

from triptych.cli.desk import Found
from triptych.cli.output import console, in_brackets, plain_asset, print_json, shown
from triptych.errors import BadInput
from triptych.model import Insight
from triptych.snapshots.asset_ids import asset_id
from triptych.snapshots.search_service import IMAGE_MAX_BYTES, Match, Matches

SCALARS_MAX = 4
"""Numbers and texts of an insight that fit on its line."""
TEXT_MAX_CHARS = 30


async def read_picture(path: Path) -> bytes:
    """Read a picture to search by; a byte more than are taken, if it has more.

    Raises:
        BadInput: there is no such file, or it cannot be read.
    """

    def read() -> bytes:
        with path.open("rb") as file:
            return file.read(IMAGE_MAX_BYTES + 1)

    try:
        return await asyncio.to_thread(read)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}).", field="--image") from error


def show(found: Matches, *, json: bool) -> None:
    """Print what a search found."""
    if json:
        items = [_plain(match) for match in found.rows]
        told = {"model": found.model, "exact": found.exact, "unindexed": found.unindexed}
        print_json({"items": items, **told})
        return
    table = Table(box=None, pad_edge=False)
    for name in ("score", "brand", "url", "id"):
        table.add_column(name, justify="right" if name == "score" else "left", overflow="fold")
    for match in found.rows:
        score = match.similarity if match.score is None else match.score
        asset = match.asset
        table.add_row(
            f"{score:.3f}", shown(asset.brand), shown(asset.url), asset_id(asset.brand, asset.key)
        )
    console.print(table)
    if not found.rows:
        console.print("Nothing found.", style="dim")
    if found.unindexed:
        console.print(f"{found.unindexed:,} brands are not wholly searched yet.", style="yellow")


def _plain(match: Match) -> dict[str, Any]:
    asset = match.asset
    return {
        "id": asset_id(asset.brand, asset.key),
        "similarity": match.similarity,
        "score": match.score,
        **plain_asset(asset),
    }


def of_step(found: Found, step: str | None) -> Found:
    """Return what one step found, or all.

    Raises:
        BadInput: no step of that name was there.
    """
    wanted = [insight for insight in found.insights if step is None or insight.kind == step]
    if step is not None and not wanted:
        raise BadInput(
            f"There is no insight of that kind{in_brackets(found.ai_state.value)}.",
            field="--step",
            remedy=f"There are: {', '.join(each.kind for each in found.insights) or 'none'}.",
        )
    return replace(found, insights=wanted)


def print_insights(found: Found, *, whole: bool) -> None:
    """Print a line an insight, or each whole."""
    console.print(f"[bold]{shown(found.brand)}[/]  AI {found.ai_state.value}", soft_wrap=True)
    for insight in found.insights:
        if insight.error is not None:
            console.print(f"  {shown(insight.kind)}  [red]{shown(insight.error)}[/]")
        elif whole:
            text = orjson.dumps(insight.result, option=orjson.OPT_INDENT_2).decode()
            console.print(shown(text, lines=True), soft_wrap=True)
        else:
            told = " · ".join(_scalars(insight)[:SCALARS_MAX])
            console.print(f"  {shown(insight.kind)}  {told}", soft_wrap=True)


def _scalars(insight: Insight) -> list[str]:
    """Return what of an insight is a number or a short text, without what all have."""
    left_out = ("version", "assets", "sampled")
    return [
        f"{shown(str(value))} {shown(name.replace('_', ' '))}"
        for name, value in (insight.result or {}).items()
        if name not in left_out
        and isinstance(value, int | float | str)
        and not isinstance(value, bool)
        and len(str(value)) <= TEXT_MAX_CHARS
    ]
