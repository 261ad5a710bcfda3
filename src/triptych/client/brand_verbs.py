"""What a client does with brands."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from triptych.client.connection import Connection, Json, brand_part, fresh_query
from triptych.model import AiState, Insight
from triptych.runs.run_shown import BrandShown, RunShown
from triptych.snapshots.brand_map import BrandMap, decode_map
from triptych.snapshots.brand_relations import NearBrands
from triptych.snapshots.comparison import Comparison
from triptych.snapshots.snapshot_store import Insights
from triptych.tasks.task_store import Task
from triptych.wire import Page

if TYPE_CHECKING:
    # FastAPI is slow to import, and only two methods need it.
    from triptych.api.history import HistoryEntry
    from triptych.api.schedules import SchedulePreview


class BrandVerbs(Connection):
    """Brands: their source and schedule, what the AI phase found, and other brands beside them."""

    async def brands(self) -> Sequence[BrandShown]:
        """Return all brands, by name."""
        return [brand async for brand in self._pages("/brands", Page[BrandShown])]

    async def brand(self, name: str, *, fresh: bool = False) -> BrandShown:
        """Return a brand; ``fresh``: as it is now, not as MongoDB may still show it.

        Raises:
            BrandNotFound: there is no brand with that name.
        """
        return await self._get(f"/brands/{brand_part(name)}", BrandShown, fresh_query(fresh))

    async def put_brand(
        self, brand: str, *, source: str | None = None, schedule: str | None = None
    ) -> Task:
        """Create a brand, or replace its source and schedule; return the task.

        Args:
            brand: its name.
            source: None removes what the brand has; the source as it is shown keeps it.
            schedule: five cron fields, in UTC; None removes it.
        """
        given = {"source": source, "schedule": schedule}
        body: Json = {name: value for name, value in given.items() if value is not None}
        return await self._submit("PUT", f"/brands/{brand_part(brand)}", body)

    async def delete_brand(self, brand: str) -> Task:
        """Delete a brand; return the task when it is done.

        Raises:
            TaskFailed: the task failed.
            ServerUnavailable: the task has not ended within `TASK_S`.
        """
        return await self._done(await self._submit("DELETE", f"/brands/{brand_part(brand)}"))

    async def insights(
        self, brand: str, *, fresh: bool = False
    ) -> tuple[UUID | None, AiState, str | None, Sequence[Insight]]:
        """Return a brand's current snapshot, its AI phase's state and reason, and its insights.

        ``fresh``: as Postgres has them.
        """
        path = f"/brands/{brand_part(brand)}/insights"
        found = await self._get(path, Insights, fresh_query(fresh))
        return found.run, found.ai_state, found.ai_reason, found.items

    async def run_ai(self, brand: str) -> RunShown:
        """Run the AI phase of a brand's current snapshot again; return the snapshot's run."""
        return await self._opened(f"/brands/{brand_part(brand)}/ai")

    async def history(self, brand: str) -> AsyncIterator[HistoryEntry]:
        """Yield what happened to a brand, newest first: runs, snapshots, what operators did.

        A reader's key does not see what operators did.
        """
        from triptych.api.history import HistoryEntry

        path = f"/brands/{brand_part(brand)}/history"
        async for entry in self._pages(path, Page[HistoryEntry]):
            yield entry

    async def preview_schedule(self, cron: str) -> SchedulePreview:
        """Return a schedule in words and when it is due next; nothing is set.

        Raises:
            InvalidSchedule: it is not five cron fields.
        """
        from triptych.api.schedules import SchedulePreview

        return await self._get("/schedules/preview", SchedulePreview, {"cron": cron})

    async def map(self, brand: str, *, fresh: bool = False) -> BrandMap:
        """Return the map of a brand's current snapshot; it has no points until it is drawn.

        ``fresh``: as Postgres has it.
        """
        body = await self._body("GET", f"/brands/{brand_part(brand)}/map", fresh_query(fresh))
        try:
            return decode_map(body)
        except ValueError as error:
            raise self._unavailable(error) from error

    async def nearest(self, brand: str) -> NearBrands:
        """Return the brands that are most similar to one now."""
        return await self._get(f"/brands/{brand_part(brand)}/nearest", NearBrands)

    async def compare(self, brand: str, other: str) -> Comparison:
        """Compare the current snapshots of two brands."""
        path = f"/brands/{brand_part(brand)}/compare/{brand_part(other)}"
        return await self._get(path, Comparison)
