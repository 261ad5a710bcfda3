"""The port AiStore: the transactions of the AI phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from triptych.model import Insight, Metadata, Run


@dataclass(frozen=True, slots=True, eq=False)
class Marks:
    """What the AI phase says of single assets."""

    keys: npt.NDArray[np.uint8]
    """(n, 16)."""
    values: Mapping[str, Sequence[Any]]
    """By name, a value for each key; None for nothing. Names of `MARKS` hold what it says, others
    anything that is JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class AssetVectors:
    """A vector for each of some assets in a space beside that of the embeddings."""

    model: str
    """Names the space."""
    keys: npt.NDArray[np.uint8]
    """(m, 16)."""
    vectors: npt.NDArray[np.float16]
    """(m, d) unit vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class BrandCells:
    """A brand's current snapshot in a few cells, as a step described it."""

    brand: str
    run_id: UUID
    cells: Sequence[Metadata]
    """What the step's result says of each cell, under ``cells``; with its ``key``."""
    vectors: AssetVectors
    """Of the same cells, by those keys."""


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """All that an AI phase has published."""

    run_id: UUID
    insights: Sequence[Insight]
    marks: Marks


class AiStore(Protocol):
    """The transactions of the AI phase."""

    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:
        """Claim the AI phase of a committed run; None when it is done or superseded.

        Without a run id: of the brand's current snapshot, also when it was done before.
        """
        ...

    async def note_ai(self, run_id: UUID, progress: Metadata) -> None:
        """Tell how far a running AI phase is. No change when it is not running."""
        ...

    async def finish_ai(
        self,
        run_id: UUID,
        insights: Sequence[Insight],
        *,
        marks: Marks | None = None,
        vectors: Sequence[AssetVectors] = (),
    ) -> bool:
        """Publish all that was found and end the AI phase, if it still is the current snapshot."""
        ...

    async def fail_ai(self, run_id: UUID, reason: str) -> None:
        """Record that the AI phase of a run could not be done."""
        ...

    async def earlier_ai(self, run_id: UUID) -> Published | None:
        """Return what was published for the brand's last snapshot before this run's, if any."""
        ...

    async def brand_cells(
        self, step: str, space: str, *, besides: str, after: str | None, limit: int
    ) -> Sequence[BrandCells]:
        """Return a page of the other brands that ``step`` described by vectors in a ``space``.

        In the order of their names, behind ``after``; of each its current snapshot.
        """
        ...
