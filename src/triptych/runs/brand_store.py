"""The port BrandStore: brands, their sources and schedules."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from triptych.model import Brand, RunState, Slice
from triptych.runs.given_urls import GivenUrl
from triptych.runs.run_shown import BrandShown

BRANDS_SCAN = 2_000
"""Brands that are looked at for one slice, however few of them match its filter."""
TRUSTED_MAX = 100
"""Sources of one brand that are known to have been named by the server's own user."""


@dataclass(frozen=True, slots=True)
class DueBrand:
    """A brand whose schedule is due."""

    name: str
    schedule: str
    due_at: datetime


def digest_of(source: str) -> bytes:
    """Return by what a trusted source is known: it may have a password."""
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).digest()


class BrandStore(Protocol):
    """Brands. Each method is one transaction and safe to repeat; reads take no locks."""

    async def brands(self) -> Sequence[Brand]:
        """Return every brand by name."""
        ...

    async def brand(self, name: str) -> Brand:
        """Return a brand.

        Raises:
            BrandNotFound: there is none of that name.
        """
        ...

    async def brands_of(self, names: Sequence[str], run_ids: Sequence[UUID]) -> Sequence[Brand]:
        """Return the named brands and the brands of the runs; without those that do not exist."""
        ...

    async def brands_slice(
        self,
        *,
        after: str,
        name: str | None,
        state: RunState | None,
        limit: int,
        among: frozenset[str] | None = None,
    ) -> Slice[BrandShown, str]:
        """Return brands by name; those with ``name`` in it, or a newest run in ``state``.

        ``among``: only these brands.
        """
        ...

    async def scheduled(self, name: str) -> BrandShown:
        """Return one brand, and when its next run opens by itself.

        Raises:
            BrandNotFound: there is none of that name.
        """
        ...

    async def snapshot_of(self, brand: str) -> UUID | None:
        """Return the run that is the brand's snapshot; None before its first.

        Raises:
            BrandNotFound: there is none of that name.
        """
        ...

    async def put_brand(
        self, name: str, *, source: str | None, schedule: str | None, due_at: datetime | None
    ) -> None:
        """Make a brand, or replace its source and schedule.

        ``due_at`` is when the schedule opens its first run; an unchanged schedule keeps its own.

        Raises:
            Conflict: the brand is being deleted.
        """
        ...

    async def whole_source(self, brand: str, source: str | None) -> str | None:
        """Return the whole of a source that a run or a brand has, to read from it.

        What they have may lack what is secret in it; then it says only that something is sealed.

        Raises:
            SealBroken: what was sealed was changed, or is another source's.
            SettingsError: the key that it was sealed with is not here.
        """
        ...

    async def keep_urls(self, brand: str, urls: Sequence[GivenUrl]) -> str:
        """Keep URLs for a brand; return the source that they are, which the same URLs share.

        They stay while the brand has that source, or a run of it is not listed in full; otherwise
        for `UNUSED_S`. The brand need not exist yet.
        """
        ...

    async def kept_urls(self, brand: str, source: str) -> Sequence[GivenUrl] | None:
        """Return a brand's URLs of that source; None if none are kept."""
        ...

    async def trust_source(self, brand: str, source: str) -> None:
        """Note that the server's own user named a source for a brand, which need not exist yet.

        The newest `TRUSTED_MAX` of a brand stay.
        """
        ...

    async def is_trusted(self, brand: str, source: str) -> bool:
        """Return whether `trust_source` has noted that source for that brand."""
        ...

    async def due_brands(self, *, limit: int) -> Sequence[DueBrand]:
        """Return brands whose schedule is due, the longest due first."""
        ...

    async def advance_schedule(self, name: str, *, seen: datetime, due_at: datetime | None) -> bool:
        """Set when the next run is due, if it still is ``seen``; return whether it was."""
        ...

    async def begin_deletion(self, brand: str) -> None:
        """Hide a brand's snapshot; from now on no run of it can be opened.

        Raises:
            BrandNotFound: there is none of that name.
        """
        ...
