"""A snapshot as everybody outside sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self
from uuid import UUID

from msgspec import Meta

from triptych.model import Run, RunKind
from triptych.wire import Wire


class SnapshotShown(Wire, frozen=True):
    """What a run committed."""

    run: UUID
    current: bool
    kind: RunKind
    restores: Annotated[
        UUID | None, Meta(description="The run whose snapshot it is again, if it was restored.")
    ]
    created_at: datetime
    ended_at: datetime | None
    assets: int
    added: int | None
    kept: int | None
    changed: int | None
    removed: int | None

    @classmethod
    def of(cls, run: Run, *, current: UUID | None) -> Self:
        """Return what a run committed; ``current`` is the run of the brand's current snapshot."""
        return cls(
            run=run.id,
            current=run.id == current,
            kind=run.kind,
            restores=run.restores,
            created_at=run.created_at,
            ended_at=run.ended_at,
            assets=(run.added or 0) + (run.kept or 0) + (run.changed or 0),
            added=run.added,
            kept=run.kept,
            changed=run.changed,
            removed=run.removed,
        )
