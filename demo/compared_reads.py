"""Immediate reads beside the system of record: equal, page by page, and answered by MongoDB."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec
from rich.console import Console

from triptych.client import Client

PAGE = 20
"""Assets of a page: many brands have several."""
PATIENCE_S = 120.0
"""Until MongoDB has to show all that was committed."""
PAUSE_S = 1.0

Answered = Callable[[], Awaitable[int]]
"""Returns how many reads MongoDB has answered so far, of all API servers together."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One brand, read as it comes and as Postgres has it."""

    brand: str
    assets: int
    pages: int
    asked: int
    """Reads that did not ask for Postgres."""
    differs: Sequence[str]
    """What is not equal."""


async def compare_reads(
    client: Client, answered: Answered, brands: Sequence[str], console: Console
) -> list[str]:
    """Read all brands twice, until MongoDB has answered all, and equally; return what is wrong.

    What was committed is shown within seconds, so that a brand may differ at first; what differs
    after `PATIENCE_S` is wrong.
    """
    begun = time.monotonic()
    while True:
        before = await answered()
        found = [await _compare(client, brand) for brand in brands]
        by_mongodb, asked = await answered() - before, sum(each.asked for each in found)
        wrong = [f"{each.brand}: {what} of MongoDB" for each in found for what in each.differs]
        # Somebody who watches the demo reads, too.
        if by_mongodb < asked:
            wrong.append(f"{asked - by_mongodb} of {asked} reads were not answered by MongoDB")
        if not wrong or time.monotonic() - begun > PATIENCE_S:
            break
        await asyncio.sleep(PAUSE_S)
    assets, pages = sum(each.assets for each in found), sum(each.pages for each in found)
    if not wrong:
        console.print(
            f"\n[bold]MongoDB answered {asked:,} reads[/] of {len(found)} brands, with {assets:,} "
            f"assets on {pages:,} pages, and each as Postgres does."
        )
    return wrong


async def _compare(client: Client, brand: str) -> Compared:
    differs = []
    if await client.brand(brand) != await client.brand(brand, fresh=True):
        differs.append("the brand")
    shown, recorded = [await client.insights(brand, fresh=fresh) for fresh in (False, True)]
    if shown != recorded:
        differs.append("the insights")
    assets = pages = 0
    cursor = None
    while True:
        page = await client.assets_page(brand, limit=PAGE, cursor=cursor)
        wanted = await client.assets_page(brand, limit=PAGE, cursor=cursor, fresh=True)
        pages += 1
        assets += len(page[0])
        # As JSON: whatever a field holds.
        if msgspec.json.encode(page) != msgspec.json.encode(wanted):
            differs.append(f"page {pages} of the assets")
        cursor = wanted[1]
        if cursor is None:
            break
    return Compared(brand, assets, pages, 2 + pages, differs)
