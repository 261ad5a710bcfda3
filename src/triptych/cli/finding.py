"""Searching from the command line, and how what is found looks there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from rich.table import Table

from triptych.asset_ids import asset_id, read_asset_id
from triptych.cli.output import console, in_brackets, plain_asset, print_json, shown
from triptych.errors import BadInput
from triptych.model import AiState, Insight
from triptych.search.room import IMAGE_MAX_BYTES, Match, Matches, SearchRoom, Where
from triptych.settings import Settings
from triptych.wiring import connect, reach_database
from triptych.wiring.search import open_search
from triptych.workers.indexer import Indexer

CATCH_UP_S = 30.0
"""What the command waits for snapshots to be searched across brands: after `triptych run` no worker
is left to see to it."""
SCALARS_MAX = 4
"""Numbers and texts of an insight that fit on its line."""
TEXT_MAX_CHARS = 30


@asynccontextmanager
async def _searching(settings: Settings, where: Where) -> AsyncIterator[SearchRoom]:
    async with (
        reach_database(settings) as dsn,
        connect(settings, dsn) as parts,
        open_search(settings, parts.catalogue) as room,
    ):
        if where.brand is None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CATCH_UP_S):
                    await Indexer(parts.catalogue).catch_up()
        yield room


async def find_by_text(settings: Settings, text: str, where: Where) -> Matches:
    """Search by text. Raises what `SearchRoom.by_text` does."""
    async with _searching(settings, where) as room:
        return await room.by_text(text, where)


async def find_by_image(settings: Settings, path: Path, where: Where) -> Matches:
    """Search by a picture. Raises what `SearchRoom.by_image` does.

    Raises:
        BadInput: there is no such file, or it cannot be read.
    """
    try:
        body = await asyncio.to_thread(_read, path)
    except OSError as error:
        raise BadInput(f"{path} cannot be read ({error.strerror}).", field="--image") from error
    async with _searching(settings, where) as room:
        return await room.by_image(body, where)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(IMAGE_MAX_BYTES + 1)


async def find_by_asset(settings: Settings, asset: str, where: Where) -> Matches:
    """Search by an asset. Raises what `SearchRoom.by_asset` does.

    Raises:
        AssetNotFound: no asset has such an id.
    """
    brand, key = read_asset_id(asset)
    async with _searching(settings, where) as room:
        return await room.by_asset(brand, key, where)


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


@dataclass(frozen=True, slots=True)
class Found:
    """What the AI phase found in a brand's current snapshot."""

    brand: str
    run: UUID | None
    ai_state: AiState
    ai_reason: str | None
    insights: Sequence[Insight]


async def read_insights(settings: Settings, brand: str, step: str | None) -> Found:
    """Read them.

    Raises:
        BrandNotFound: there is no such brand.
        BadInput: no step of that name was there.
    """
    async with reach_database(settings) as dsn, connect(settings, dsn) as parts:
        known = await parts.catalogue.brand(brand)
        if known.current_run is None:
            return Found(brand, None, AiState.NONE, None, [])
        run = await parts.catalogue.run(known.current_run)
        found = await parts.catalogue.insights(run.id)
    wanted = [insight for insight in found if step is None or insight.kind == step]
    if step is not None and not wanted:
        raise BadInput(
            f"There is no insight of that kind{in_brackets(run.ai_state.value)}.",
            field="--step",
            remedy=f"There are: {', '.join(insight.kind for insight in found) or 'none'}.",
        )
    return Found(brand, run.id, run.ai_state, run.ai_reason, wanted)


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
