"""A reader of the API: it walks brands page by page while runs commit, and keeps what it saw."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from tests.support.chaos.patient_api import Away, PatientApi, Refusal

PAGE_ROWS = 17
PAUSE_S = 0.05
AWAY_S = 0.5
PAGES_MAX = 1000


@dataclass(frozen=True)
class Walk:
    """All pages of a brand's assets, as one reader saw them."""

    brand: str
    run: UUID
    rows: tuple[tuple[str, str], ...]
    """URL and SHA-256 of each asset, in the order of the pages."""


class Reader:
    """Walks the brands in turn."""

    def __init__(self, api: PatientApi, brands: Sequence[str]) -> None:
        self._api = api
        self._brands = brands
        self.walks: list[Walk] = []
        self.given_up = 0
        """Walks that an outage ended."""
        self.violations: list[str] = []

    async def read(self) -> None:
        """Walk until cancelled."""
        number = 0
        while True:
            await self.walk(self._brands[number % len(self._brands)])
            number += 1
            await asyncio.sleep(PAUSE_S)

    async def walk(self, brand: str) -> None:
        """Read all pages of a brand, and keep the walk unless an outage ends it."""
        rows: list[tuple[str, str]] = []
        runs: set[str] = set()
        query: dict[str, str] = {"limit": str(PAGE_ROWS)}
        try:
            for _ in range(PAGES_MAX):
                page = await self._api.once("GET", f"/brands/{brand}/assets", params=query)
                if page is None:
                    return  # The brand is not there yet.
                rows += [(each["url"], each["sha256"]) for each in page["items"]]
                runs |= {each["run"] for each in page["items"]}
                if page["next"] is None:
                    break
                query["cursor"] = page["next"]
        except Away:
            self.given_up += 1
            await asyncio.sleep(AWAY_S)
            return
        except Refusal as refusal:
            self.violations.append(f"reader: {refusal}")
            return
        if len(runs) > 1:
            self.violations.append(f"reader: {brand} is mixed of the runs {sorted(runs)}")
        elif runs:
            self.walks.append(Walk(brand, UUID(runs.pop()), tuple(rows)))
