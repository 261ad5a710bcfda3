"""An edition: one snapshot with the marks that the AI phase last published for it.

Nothing of an edition ever changes. A brand has a new one after each commit, and after each time
that the AI phase publishes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from triptych.model import Asset, Insight, Metadata
from triptych.runs.run_shown import BrandShown, RunShown


@dataclass(frozen=True, slots=True, order=True)
class Edition:
    """Names an edition of a brand; later ones are greater."""

    committed: int
    """When its snapshot was committed, in microseconds since 1970."""
    ai: int
    """When the AI phase published, in microseconds since 1970; 0 before it has."""
    run: UUID
    """Of the snapshot."""

    @property
    def name(self) -> str:
        """Its name in documents: the run, a full stop, and `ai`."""
        return f"{self.run}.{self.ai}"


@dataclass(frozen=True, slots=True, eq=False)
class EditionAsset:
    """An asset of an edition, without its embedding."""

    asset: Asset
    marks: Metadata
    """By name (`triptych.model.MARKS` and others), without empty ones."""
    first_seen: str | None
    """The day, in UTC, of its brand's first snapshot with it: ``YYYY-MM-DD``."""
    searched: Sequence[str]
    """What the filter `AssetFilter.text` looks in, in lower case as Postgres writes it: the URL,
    and the metadata as text."""


@dataclass(frozen=True, slots=True, eq=False)
class EditionWhole:
    """What an edition has besides its assets."""

    assets: int
    insights: Sequence[Insight]
    map: bytes | None
    """The brand's map (`triptych.snapshots.brand_map`); None if it was not drawn."""
    covers: Sequence[bytes]
    """Keys of the pictures that show the brand."""


@dataclass(frozen=True, slots=True, eq=False)
class BrandRow:
    """A brand as lists show it, and its snapshots."""

    shown: BrandShown
    searched: str
    """The name in lower case, as Postgres writes it."""
    snapshots: Sequence[RunShown]
    """Its kept snapshots, newest first, at most `SNAPSHOTS_MAX`."""
    more: bool
    """Whether it has further ones."""


SNAPSHOTS_MAX = 200
"""Snapshots that a brand's document has."""
