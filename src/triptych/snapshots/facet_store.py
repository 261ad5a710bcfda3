"""The port FacetStore: assets counted by their properties."""

from __future__ import annotations

from typing import Protocol
from uuid import UUID

from triptych.snapshots.facets import FacetsShown, FacetsWanted

FACETS_SCAN = 200_000
"""Assets that are looked at for one answer. Of larger snapshots it is those with the lowest keys,
which are an even sample."""


class FacetStore(Protocol):
    """Counts assets of committed snapshots. Nothing here takes locks."""

    async def facets(
        self, run_id: UUID, wanted: FacetsWanted, *, scan: int = FACETS_SCAN
    ) -> FacetsShown:
        """Count the assets of a snapshot, at most ``scan`` of them.

        Raises:
            SnapshotCollected: it is no longer kept.
            RunNotFound: there is no such run.
            SearchUnavailable: it took longer than its deadline.
        """
        ...

    async def facets_anywhere(
        self,
        wanted: FacetsWanted,
        *,
        among: frozenset[str] | None = None,
        scan: int = FACETS_SCAN,
    ) -> FacetsShown:
        """Count the assets of the current snapshots of all brands, or of those ``among``.

        Of each snapshot an equal share of ``scan`` is looked at, at most.

        Raises:
            SearchUnavailable: it took longer than its deadline.
        """
        ...
