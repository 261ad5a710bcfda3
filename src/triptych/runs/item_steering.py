"""What operators do to single items of a run: try them now, or let them go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from triptych.model import ItemResult, Reason, Run
from triptych.queues.queue import Queue
from triptych.runs.dispatch import Dispatcher
from triptych.runs.item_store import UNSETTLED, ItemStore, RunItem
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runs.run_store import RunStore

UNKNOWN = "unknown"
"""What keys are counted as that name no item of the run."""


@dataclass(frozen=True, slots=True)
class Steered:
    """What became of the items that a request named."""

    changed: int
    left: Mapping[str, int]
    """The others, by where they were: see `ItemStanding`, or `UNKNOWN`."""


class ItemSteering:
    """Retries and skips items. Safe to repeat: what has changed already is counted as left."""

    def __init__(
        self, runs: RunStore, items: ItemStore, registry: ActiveBrandRegistry, queue: Queue
    ) -> None:
        self._items = items
        self._registry = registry
        self._dispatcher = Dispatcher(runs, queue)

    async def try_now(self, run_id: UUID, keys: Sequence[bytes]) -> Steered:
        """Let items of an active run that wait for another attempt be tried now.

        A message is sent for each, since no queue lets one that it hides come earlier; the hidden
        one finds the item settled, or not due. A host that does not answer, or whose turn has not
        come, still puts its items off. Only items that wait are tried: the others are due, are
        waiting for their turn to be sent, or are settled.

        Raises:
            RunNotFound: there is no such run.
        """
        before = await self._items.some(run_id, keys)
        tried = await self._items.try_now(run_id, keys)
        await self._dispatcher.dispatch(tried)
        return _steered(keys, {item.key for item in tried}, before)

    async def skip(self, run_id: UUID, keys: Sequence[bytes]) -> Steered:
        """Settle items of an active run as failed, for the reason `skipped`; see `registry.skip`.

        Their last error stays their detail.

        Raises:
            RunNotFound: there is no such run.
            RunEnded: it is not active; nothing changed.
        """
        results = [
            ItemResult(bytes.fromhex(item.key), None, Reason.SKIPPED, item.detail or "")
            for item in await self._items.some(run_id, keys)
            if item.state in UNSETTLED
        ]
        changed = await self._registry.skip(run_id, results)
        return _steered(keys, changed, await self._items.some(run_id, keys))

    async def redrive(self, run_id: UUID, keys: Sequence[bytes], *, new_id: UUID) -> Run:
        """Retry failed items of an ended run in a new run; once for each ``new_id``.

        Raises:
            RunNotFound, Conflict: as `ActiveBrandRegistry.redrive`.
        """
        return await self._registry.redrive(run_id, new_id=new_id, keys=keys)


def _steered(
    keys: Collection[bytes], changed: Collection[bytes], known: Sequence[RunItem]
) -> Steered:
    standings = {bytes.fromhex(item.key): item.state.value for item in known}
    left = Counter(standings.get(key, UNKNOWN) for key in set(keys) if key not in changed)
    return Steered(len(changed), dict(sorted(left.items())))
