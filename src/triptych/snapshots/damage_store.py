"""The port DamageStore: objects that are known to be damaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from triptych.objects import DamageNotes


class DamageStore(DamageNotes, Protocol):
    """Objects that are known to be damaged.

    A settled item whose object was stored after the note removes it, and so does the deletion of
    the object.
    """

    async def forget(self, keys: Sequence[str]) -> None:
        """Remove notes: the objects have been stored again."""
        ...

    async def count(self) -> int:
        """Return how many objects are noted."""
        ...
