"""The items of runs in memory, as people look at them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from typing_extensions import override

from triptych.model import Item, ItemState, Reason, RunState, Slice
from triptych.runs.item_store import (
    HOSTS_SHOWN_MAX,
    HostItems,
    ItemCounts,
    ItemFilter,
    ItemStanding,
    ItemStore,
    RunItem,
    host_of,
)
from triptych.testing.memory_items import SENDS_MAX, outgoing
from triptych.testing.memory_state import ItemRow, MemoryState, RunRow


class MemoryItemStore(ItemStore):
    """`ItemStore` in memory. It looks at every item, so its counts are exact."""

    def __init__(self, state: MemoryState) -> None:
        self._state = state

    @override
    async def page(
        self, run_id: UUID, wanted: ItemFilter, *, after: int | None, limit: int
    ) -> Slice[RunItem, int]:
        shown = self._shown(run_id)
        but_url = replace(wanted, url=None)
        named = [one for item, one in shown if item.key == wanted.key and _passes(one, but_url)]
        if named and after is None:
            return Slice(named, -1)
        behind = [
            (item.position, one)
            for item, one in shown
            if item.position > (-1 if after is None else after)
            and item.key != wanted.key
            and _passes(one, wanted)
        ]
        page = [one for _, one in behind[:limit]]
        return Slice(page, behind[limit - 1][0] if len(behind) > limit else None)

    def _shown(self, run_id: UUID) -> list[tuple[ItemRow, RunItem]]:
        row, now = self._state.runs.get(run_id), self._state.now()
        return [] if row is None else [(item, _shown(row, item, now)) for item in row.in_order()]

    @override
    async def some(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[RunItem]:
        return [shown for item, shown in self._shown(run_id) if item.key in keys]

    @override
    async def counts(self, run_id: UUID) -> ItemCounts:
        self._state.run_row(run_id)
        shown = [shown for _, shown in self._shown(run_id)]
        by_host: dict[str, Counter[ItemStanding]] = defaultdict(Counter)
        for item in shown:
            by_host[item.host][item.state] += 1
        hosts = [_host_items(host, counts) for host, counts in by_host.items()]
        hosts.sort(key=lambda host: (-host.left, -host.items, host.host))
        total = Counter(item.state for item in shown)
        return ItemCounts(
            **{standing.value: total[standing] for standing in ItemStanding},
            each=1,
            hosts=hosts[:HOSTS_SHOWN_MAX],
            hosts_found=len(hosts),
        )

    @override
    async def try_now(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[Item]:
        row, now = self._state.run_row(run_id), self._state.now()
        if row.run.state is not RunState.ACTIVE:
            return []
        tried = []
        for key in sorted(set(keys)):
            item = row.items.get(key)
            if item is not None and _standing(row, item, now) is ItemStanding.DELAYED:
                item.sent_at = item.due_at = now
                item.sends = min(item.sends + 1, SENDS_MAX)
                tried.append(outgoing(row, item))
        if tried:
            self._state.event(row, "tried_now", {"items": len(tried)})
        return tried


def _host_items(host: str, counts: Counter[ItemStanding]) -> HostItems:
    settled = (ItemStanding.DONE, ItemStanding.FAILED, ItemStanding.SKIPPED, ItemStanding.CANCELLED)
    return HostItems(
        host,
        items=counts.total(),
        left=counts.total() - sum(counts[standing] for standing in settled),
        failed=counts[ItemStanding.FAILED] + counts[ItemStanding.SKIPPED],
        delayed=counts[ItemStanding.DELAYED],
    )


def _standing(row: RunRow, item: ItemRow, now: datetime) -> ItemStanding:
    if item.state is ItemState.PENDING:
        if item.sent_at is None:
            unsent = item.position >= row.next_dispatch
            return ItemStanding.PENDING if unsent else ItemStanding.SENT
        return ItemStanding.DELAYED if item.sent_at > now else ItemStanding.SENT
    if item.state is ItemState.FAILED and item.reason == Reason.SKIPPED:
        return ItemStanding.SKIPPED
    return ItemStanding(item.state.value)


def _shown(row: RunRow, item: ItemRow, now: datetime) -> RunItem:
    standing = _standing(row, item, now)
    down = item.waits_for if item.state is ItemState.PENDING else None
    reason = Reason.HOST_DOWN if down else Reason(item.reason) if item.reason else None
    return RunItem(
        key=item.key.hex(),
        url=item.url,
        host=host_of(item.url),
        state=standing,
        attempts=item.attempts,
        max_attempts=row.run.policy.max_attempts,
        reason=reason,
        detail=f"{down} does not answer" if down else item.detail or None,
        last_tried_at=item.tried_at,
        next_attempt_at=item.sent_at if standing is ItemStanding.DELAYED else None,
        settled_at=item.settled_at,
    )


def _passes(item: RunItem, wanted: ItemFilter) -> bool:
    return (
        wanted.state in (None, item.state)
        and wanted.host in (None, item.host)
        and wanted.reason in (None, item.reason)
        and (wanted.url is None or wanted.url.lower() in item.url.lower())
    )
