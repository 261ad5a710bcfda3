"""Assets in a notebook: shown as a gallery, read as a table."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from triptych.client.asset_filters import ListingOptions
from triptych.client.client import Client
from triptych.client.notebook.event_loop import EventLoop
from triptych.client.notebook.gallery import PICTURES_MAX, gallery_html, thumbnails
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.search_service import Match, Matches

if TYPE_CHECKING:
    # Both are slow to import, and pandas is an extra.
    import pandas as pd
    import pyarrow as pa

Row = Mapping[str, Any]


class AssetTable(ABC):
    """Some assets of a server. They are read when they are asked for, and each time again.

    A notebook shows it as a gallery of the first ones.
    """

    def __init__(self, loop: EventLoop, client: Client) -> None:
        self._loop = loop
        self._client = client

    @abstractmethod
    def __iter__(self) -> Iterator[AssetShown]:
        """Yield all of the assets."""

    @abstractmethod
    def first(self, count: int) -> Sequence[AssetShown]:
        """Return the first assets, at most ``count``."""

    def to_arrow(self) -> pa.Table:
        """Return all assets as an Arrow table, a row each.

        Metadata have the columns that an export gives them, and as a whole the column `metadata`,
        as JSON.
        """
        from triptych.client.notebook.arrow_columns import arrow_table

        return arrow_table(list(self), self._more())

    def to_pandas(self) -> pd.DataFrame:
        """Return all assets as a DataFrame of pandas, as `to_arrow` has them.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise ImportError(
                "pandas is not installed. Run: pip install 'triptych[notebook]'."
            ) from error
        # Not with Arrow's `to_pandas`, which makes floats of numbers as soon as one is missing.
        frame: pd.DataFrame = self.to_arrow().to_pandas(types_mapper=pd.ArrowDtype)
        return frame

    def _repr_html_(self) -> str:
        """Return the gallery that a notebook shows."""
        some = self.first(PICTURES_MAX + 1)
        shown = self._loop.wait(thumbnails(self._client, some[:PICTURES_MAX]))
        return gallery_html(shown, self._heading(len(some)))

    def _heading(self, found: int) -> str:
        if found > PICTURES_MAX:
            return f"The first {PICTURES_MAX} assets of more"
        return "1 asset" if found == 1 else f"{found} assets"

    def _more(self) -> Sequence[Row]:
        """Return further columns of each row, or nothing."""
        return ()


class AssetListing(AssetTable):
    """The assets of a brand's snapshot that fulfil some filters."""

    def __init__(
        self, loop: EventLoop, client: Client, brand: str, options: ListingOptions
    ) -> None:
        super().__init__(loop, client)
        self._brand = brand
        self._options = options

    @override
    def __iter__(self) -> Iterator[AssetShown]:
        return self._loop.each(self._client.assets(self._brand, **self._options))

    @override
    def first(self, count: int) -> Sequence[AssetShown]:
        page = self._client.assets_page(self._brand, limit=count, **self._options)
        return self._loop.wait(page)[0]

    def __repr__(self) -> str:
        given = "".join(f", {name}={value!r}" for name, value in self._options.items())
        return f"<assets of {self._brand!r}{given}>"


class FoundAssets(AssetTable):
    """What a search found, the best first."""

    def __init__(self, loop: EventLoop, client: Client, found: Matches) -> None:
        super().__init__(loop, client)
        self.matches: Sequence[Match] = found.rows
        self.problems: Sequence[str] = found.problems
        """What could not be searched, and why."""
        self.matching = found.matching
        """How many match; 0: they are only the nearest there are."""

    @override
    def __iter__(self) -> Iterator[AssetShown]:
        return iter([match.asset for match in self.matches])

    def __len__(self) -> int:
        return len(self.matches)

    @override
    def first(self, count: int) -> Sequence[AssetShown]:
        return [match.asset for match in self.matches[:count]]

    def __repr__(self) -> str:
        return f"<{len(self.matches)} assets found>"

    @override
    def _heading(self, found: int) -> str:
        heading = super()._heading(found) if found else "Nothing found"
        notes = list(self.problems)
        if found and not self.matching:
            notes.insert(0, "Nothing matches; these are only the nearest.")
        return ". ".join([heading, *notes]) if notes else heading

    @override
    def _more(self) -> Sequence[Row]:
        names = ("similarity", "score", "copies")
        return [{name: getattr(match, name) for name in names} for match in self.matches]
