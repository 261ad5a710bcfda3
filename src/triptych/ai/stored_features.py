"""Features of a snapshot's assets, read page by page, for brand-wide steps."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping

from triptych.ai.asset_step import AssetStep
from triptych.ai.context import AssetStepOutcome
from triptych.ai.step import Snapshot
from triptych.features.feature_store import Feature, FeatureStore

ASSETS_PAGE = 1_000
READ_S = 60.0


class StoredFeatures:
    """`triptych.ai.context.Features` from a store. Call it from threads, not the event loop."""

    def __init__(
        self,
        features: FeatureStore,
        snapshot: Snapshot,
        outcomes: Mapping[str, tuple[AssetStep, AssetStepOutcome]],
    ) -> None:
        self._features = features
        self._snapshot = snapshot
        self._outcomes = outcomes
        self._loop = asyncio.get_running_loop()

    def outcome(self, step: str) -> AssetStepOutcome | None:
        """Return what this phase has done of an asset step; None if it does not run here."""
        return self._outcomes[step][1] if step in self._outcomes else None

    def read(self, step: str) -> Iterator[tuple[int, Feature]]:
        """Yield the row of each asset that has a feature, and the feature, in the order of rows."""
        if step not in self._outcomes:
            return
        kind = self._outcomes[step][0].kind
        for start in range(0, len(self._snapshot), ASSETS_PAGE):
            page = [each.tobytes() for each in self._snapshot.sha256[start : start + ASSETS_PAGE]]
            reading = self._features.read(kind, list(dict.fromkeys(page)))
            found = asyncio.run_coroutine_threadsafe(_awaited(reading), self._loop).result(READ_S)
            for row, sha256 in enumerate(page, start=start):
                if sha256 in found:
                    yield row, found[sha256]


async def _awaited(reading: Awaitable[Mapping[bytes, Feature]]) -> Mapping[bytes, Feature]:
    return await reading
