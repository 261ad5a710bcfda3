"""The port Ai: the transactions of the AI phase."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from triptych.model import Insight, Run


class Ai(Protocol):
    """The transactions of the AI phase."""

    async def begin_ai(self, brand: str, run_id: UUID | None) -> Run | None:
        """Claim the AI phase of a committed run; None when it is done or superseded.

        Without a run id: of the brand's current snapshot, also when it was done before.
        """
        ...

    async def finish_ai(self, run_id: UUID, insights: Sequence[Insight]) -> bool:
        """Publish a run's insights and end its AI phase, if it still is the current snapshot."""
        ...

    async def fail_ai(self, run_id: UUID, reason: str) -> None:
        """Record that the AI phase of a run could not be done."""
        ...
