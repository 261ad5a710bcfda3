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
    """The values that the AI phase assigns to individual assets."""

    keys: npt.NDArray[np.uint8]
    """(n, 16)."""
    values: Mapping[str, Sequence[Any]]
    """By name, a value for each key; None where there is none. Names in `MARKS` hold the types
    given there; other names hold any JSON value."""


@dataclass(frozen=True, slots=True, eq=False)
class AssetVectors:
    """Vectors of some assets, in a space other than that of the embeddings."""

    model: str
    """The name of the space."""
    keys: npt.NDArray[np.uint8]
    """(m, 16)."""
    vectors: npt.NDArray[np.float16]
    """(m, d) unit vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class BrandCells:
    """A brand's current snapshot, summarised by a step in a few cells."""

    brand: str
    run_id: UUID
    cells: Sequence[Metadata]
    """Each cell's entry under ``cells`` in the step's result, including its ``key``."""
    vectors: AssetVectors
    """The vectors of the same cells, by those keys."""


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """Everything that an AI phase has published."""

    run_id: UUID
    insights: Sequence[Insight]
    marks: Marks


class AiStore(Protocol):
    """The transactions of the AI phase."""

    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:
        """Claim the AI phase of a committed run; None when it is done or superseded.

        Without a run id, claim that of the brand's current snapshot, even if it was done before.
        """
        ...

    async def note_ai(self, run_id: UUID, progress: Metadata) -> None:
        """Record the progress of a running AI phase. Do nothing if it is not running."""
        ...

    async def finish_ai(
        self,
        run_id: UUID,
        insights: Sequence[Insight],
        *,
        marks: Marks | None = None,
        vectors: Sequence[AssetVectors] = (),
        unfinished: bool = False,
    ) -> bool:
        """Publish all results and end the AI phase, if its snapshot is still the current one.

        ``unfinished``: queue it again in the same transaction, to be continued by another message.
        """
        ...

    async def fail_ai(self, run_id: UUID, reason: str) -> None:
        """Record that the AI phase of a run failed."""
        ...

    async def earlier_ai(self, run_id: UUID) -> Published | None:
        """Return what was published for the brand's last snapshot before this run's, if any."""
        ...

    async def brand_cells(
        self, step: str, space: str, *, besides: str, after: str | None, limit: int
    ) -> Sequence[BrandCells]:
        """Return a page of the other brands that ``step`` described by vectors in ``space``.

        Ordered by name, starting after ``after``; each brand's current snapshot is used.
        """
        ...
