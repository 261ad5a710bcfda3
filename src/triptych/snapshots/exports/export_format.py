"""What a format of an export is: its name, what it tells people, and its writer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    # Columns are Arrow's, which takes long to import: a format is declared without.
    from triptych.snapshots.exports.columns import Exported

NAME = r"[a-z][a-z0-9+.-]{0,30}"

Open = Callable[[str], IO[bytes]]
"""Opens a file of the export by its name, for writing."""


class Writer(Protocol):
    """Takes assets page by page. Blocks: it belongs in a thread."""

    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        """Write a page; ``bodies`` has each asset's bytes, or nothing if they are not needed."""
        ...

    def close(self) -> None:
        """Finish all files. What is not closed is no export."""
        ...


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format that snapshots are exported in; a package offers it as an entry point.

    Raises:
        ValueError: the name cannot be used.
    """

    name: str
    """Also the entry point's name: lower-case letters, digits, ``+``, ``.`` and ``-``."""
    title: str
    """As people call it: ``WebDataset``."""
    description: str
    """One line: what the files hold, and for whom."""
    open: Callable[[str, int | None, Open], Writer]
    """Returns a writer of files whose names begin with the first argument. The second is the
    embeddings' length, None if there are none; the third opens the files. The same snapshot gives
    the same bytes."""
    needs_bodies: bool = False
    """Whether the writer wants the assets' bytes."""

    def __post_init__(self) -> None:
        if re.fullmatch(NAME, self.name) is None:
            raise ValueError(f"{self.name!r} is no name of a format: it must match {NAME}.")
