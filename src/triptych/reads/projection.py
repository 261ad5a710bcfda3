"""The port Projection: the database that editions are written to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol
from uuid import UUID

from triptych.reads.edition import BrandRow, Edition, EditionAsset, EditionWhole

Lowers = Literal["ascii", "unicode"]
"""Which letters the catalogue's database knows the lower case of."""


class Projection(Protocol):
    """Writes editions. Every method is safe to repeat, and any number of processes may call them.

    What is written of an edition is seen by nobody until `show`, which is one update of the brand's
    document. All raise `ReadsUnavailable` when the database does not answer within its deadline.
    """

    async def open(self, lowers: Lowers) -> UUID:
        """Make indexes; return the id of this database, which is new if it was empty.

        What is recorded as written elsewhere counts for the database of that id only.
        """
        ...

    async def write(self, brand: str, edition: Edition, assets: Sequence[EditionAsset]) -> None:
        """Write some assets of an edition, which may be there already."""
        ...

    async def complete(self, brand: str, edition: Edition, whole: EditionWhole) -> None:
        """Write what an edition has besides its assets."""
        ...

    async def show(self, brand: str, edition: Edition, whole: EditionWhole, row: BrandRow) -> bool:
        """Make an edition the one that is read, by one update; False if a later one is, or it is.

        The one before stays for readers that are under way, until `drop_older`.
        """
        ...

    async def put_brands(self, rows: Sequence[BrandRow]) -> None:
        """Write how brands are shown, each unless it is older than what is there."""
        ...

    async def drop_older(self, brand: str, *, keep: Sequence[Edition], grace_s: float) -> bool:
        """Delete what no reader uses any more of a brand's editions; True if some is left.

        Args:
            brand: whose.
            keep: editions that are being written.
            grace_s: for so long a reader may use an edition that is no longer shown.
        """
        ...

    async def forget(self, brand: str) -> None:
        """Hide a brand by one update, then delete all that there is of it."""
        ...

    async def shown(self) -> Mapping[str, Edition]:
        """Return the edition of each brand that is read."""
        ...

    async def close(self) -> None:
        """Close the connections. May be called repeatedly."""
        ...
