"""An export format: its name, its description, and its writer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    # Arrow takes long to import: a format is declared without it.
    from triptych.snapshots.exports.columns import Exported

NAME = r"[a-z][a-z0-9+.-]{0,30}"

Open = Callable[[str], IO[bytes]]
"""Opens a file of the export by its name, for writing."""


class Writer(Protocol):
    """Accepts assets page by page. Blocks: run it in a thread."""

    def add(self, rows: Sequence[Exported], bodies: Sequence[bytes]) -> None:
        """Write a page; ``bodies`` has each asset's bytes, or nothing if they are not needed."""
        ...

    def close(self) -> None:
        """Finish all files. Files that are not closed are not an export."""
        ...


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A format for exports; a package offers it as an entry point.

    Raises:
        ValueError: the name cannot be used.
    """

    name: str
    """Also the entry point's name: lower-case letters, digits, ``+``, ``.`` and ``-``."""
    title: str
    """The name for people: ``WebDataset``."""
    description: str
    """One line: what the files contain, and for whom."""
    open: Callable[[str, int | None, Open], Writer]
    """Returns a writer of files whose names begin with the first argument. The second is the
    embeddings' length, None if there are none; the third opens the files. The same snapshot gives
    the same bytes."""
    needs_bodies: bool = False
    """Whether the writer needs the assets' bytes."""
    metadata_columns: bool = False
    """Whether the writer has a column for each name in the metadata. Then `Exported` tells which,
    and a snapshot is read twice."""

    def __post_init__(self) -> None:
        if re.fullmatch(NAME, self.name) is None:
            raise ValueError(f"{self.name!r} is not a valid format name: it must match {NAME}.")
