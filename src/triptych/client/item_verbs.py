"""What a client does with the items of a run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TypedDict, Unpack
from uuid import UUID

from triptych.client.asset_filters import query_of
from triptych.client.connection import Connection
from triptych.model import Reason
from triptych.runs.item_store import ItemCounts, ItemStanding, RunItem
from triptych.tasks.task_store import Task
from triptych.wire import Page


class ItemFilters(TypedDict, total=False):
    """Which items of a run; those that fulfil all that is given."""

    state: ItemStanding
    host: str
    """As the items name it, with its port."""
    reason: Reason
    """Why it failed, or why its last attempt did."""
    url: str
    """A whole URL, or text that is somewhere in one, whatever its case."""


class ItemVerbs(Connection):
    """Items of a run: where each is, and what it waits for."""

    async def items(self, run_id: UUID, **filters: Unpack[ItemFilters]) -> AsyncIterator[RunItem]:
        """Yield the items of a run that fulfil the filters, in order of dispatch.

        Raises:
            RunNotFound: there is no run with that id.
            BadInput: a filter is not there.
        """
        query = query_of(ItemFilters, filters)
        async for item in self._pages(f"/runs/{run_id}/items", Page[RunItem], query):
            yield item

    async def item_counts(self, run_id: UUID) -> ItemCounts:
        """Count the items of a run by where they are, and by host."""
        return await self._get(f"/runs/{run_id}/items/counts", ItemCounts)

    async def retry_items(self, run_id: UUID, keys: Sequence[str]) -> Task:
        """Try items now that wait, or retry failed items of an ended run in a new run.

        The task's result has ``retried`` and, of an active run, ``left``, the numbers of the others
        by where they were.

        Raises:
            Conflict: the run has ended, and one of them did not fail or would fail again.
        """
        return await self._submit("POST", f"/runs/{run_id}/items/retry", {"keys": list(keys)})

    async def skip_items(self, run_id: UUID, keys: Sequence[str]) -> Task:
        """Let items go: they are not tried again, and the run can end without them.

        The task's result has ``skipped`` and ``left``, the numbers of the others by where they
        were.

        Raises:
            RunEnded: the run has ended.
        """
        return await self._submit("POST", f"/runs/{run_id}/items/skip", {"keys": list(keys)})
