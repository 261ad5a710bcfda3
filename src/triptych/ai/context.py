"""A step's inputs besides its snapshot, and its outputs besides its result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol
from uuid import UUID

import numpy as np
import numpy.typing as npt

from triptych.ai.ai_store import Published
from triptych.ai.vocabulary import Vocabulary, default_vocabulary
from triptych.embedders.text_encoder import TextEncoder
from triptych.features.feature_store import Feature
from triptych.model import Asset

Column = Sequence[Any] | npt.NDArray[Any]

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Pixels(Protocol):
    """Reads small pictures of a snapshot's assets from the object store. Blocks while reading."""

    def __call__(self, row: int, side: int) -> npt.NDArray[np.uint8] | None:
        """Return asset ``row`` resized to (side, side, 3), RGB; None if it is unavailable."""
        ...


def no_pixels(row: int, side: int) -> npt.NDArray[np.uint8] | None:  # noqa: ARG001
    """Return None: there is no object store."""
    return None


@dataclass(frozen=True, slots=True, eq=False)
class OtherBrand:
    """Another brand's snapshot as a few centroids, of the same model as the snapshot at hand."""

    brand: str
    run_id: UUID
    directions: npt.NDArray[np.float32]
    """(c, d) unit vectors: the mean direction of each cell's pictures."""
    lengths: npt.NDArray[np.float64]
    """(c,): the length of the mean of each cell's unit vectors; 1 where all are equal."""
    sizes: npt.NDArray[np.float64]
    """(c,): embedded assets in each cell."""

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """(d,): the mean of all the brand's unit vectors."""
        weights = self.sizes * self.lengths / self.sizes.sum()
        return np.asarray(weights @ self.directions)


class Others(Protocol):
    """Reads the other brands' current snapshots. Blocks while reading."""

    def brands(self) -> Iterable[OtherBrand]:
        """Yield every other brand that the step `across` has described, by name."""
        ...

    def assets(self, brand: OtherBrand, limit: int) -> Iterable[Sequence[Asset]]:
        """Yield a brand's first ``limit`` assets by key, some hundreds at a time.

        Ends early if its snapshot is deleted in the meantime.
        """
        ...


class NoOthers:
    """A catalogue without other brands."""

    def brands(self) -> Iterable[OtherBrand]:
        """Yield nothing."""
        return ()

    def assets(self, brand: OtherBrand, limit: int) -> Iterable[Sequence[Asset]]:  # noqa: ARG002
        """Yield nothing."""
        return ()


NO_OTHERS = NoOthers()


@dataclass(frozen=True, slots=True)
class AssetStepOutcome:
    """What a phase has done of an asset step; the numbers are of contents."""

    computed: int = 0
    """Pictures whose results were kept by this phase."""
    failed: int = 0
    """Pictures that were recorded as unreadable by this phase."""
    away: int = 0
    """Pictures whose objects are missing or could not be read now: they are tried again."""
    waiting: int = 0
    """Pictures that there was no time for."""
    error: str | None = None
    """Why the step ended early: its model, or what decodes, cannot be used."""

    @property
    def to_be_continued(self) -> bool:
        """Whether a further phase would get further: there is more, and this one got anywhere."""
        return bool(self.waiting) and self.error is None and self.computed + self.failed > 0


class Features(Protocol):
    """Reads what asset steps have computed of a snapshot's assets. Blocks while reading."""

    def outcome(self, step: str) -> AssetStepOutcome | None:
        """Return what this phase has done of an asset step; None if it does not run here."""
        ...

    def read(self, step: str) -> Iterable[tuple[int, Feature]]:
        """Yield the row of each asset that has a feature, and the feature, in the order of rows.

        Nothing for an asset step that does not run here.
        """
        ...


class NoFeatures:
    """No asset step runs here."""

    def outcome(self, step: str) -> AssetStepOutcome | None:  # noqa: ARG002
        """Return None."""
        return None

    def read(self, step: str) -> Iterable[tuple[int, Feature]]:  # noqa: ARG002
        """Yield nothing."""
        return ()


NO_FEATURES = NoFeatures()


def no_text() -> TextEncoder | None:
    """Return None: there is no text encoder."""
    return None


def no_progress(_share: float) -> None:
    """Discard the progress."""


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """What the AI phase published for the brand's last snapshot before this one.

    For steps whose output should stay stable while a brand grows: names of clusters, places on
    a map. Of the results, a step sees only its own.
    """

    keys: npt.NDArray[np.uint8]
    """(n, 16): the keys of the assets that were marked then."""
    marks: Mapping[str, Column]
    """By name, a value for each of ``keys``; the marks of all steps."""
    results: Mapping[str, Mapping[str, Any]]
    """Results, by step."""

    def rows_of(self, keys: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
        """Return the row of each of ``keys`` here, or -1."""
        row_of = {key.tobytes(): row for row, key in enumerate(self.keys)}
        return np.array([row_of.get(key.tobytes(), -1) for key in keys], np.intp)


def as_earlier(published: Published) -> Earlier:
    """Convert published results to the form that steps see, without failed insights."""
    results = {i.kind: i.result for i in published.insights if i.result is not None}
    return Earlier(published.marks.keys, published.marks.values, results)


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """The environment of a step. Any part may be missing; each step documents what it does then."""

    earlier: Earlier | None = None
    pixels: Pixels = no_pixels
    others: Others = NO_OTHERS
    features: Features = NO_FEATURES
    text: Callable[[], TextEncoder | None] = no_text
    """Loads the text encoder of the images' space at the first call; returns None if there is none.
    Its `image_model` must be the snapshot's `model`."""
    vocabulary: Callable[[], Vocabulary] = default_vocabulary
    """Reads the vocabulary of tags."""
    progress: Callable[[float], None] = no_progress
    """Reports the share of the work that is done, 0..1. Cheap: call it as often as convenient."""


ALONE = Context()
"""The context in which everything is missing."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """Vectors of some assets in a step's own space, for search."""

    model: str
    """The name of the space; vectors of two spaces are never compared."""
    rows: npt.NDArray[np.intp]
    """(m,): rows of the assets, ascending."""
    vectors: npt.NDArray[np.float16]
    """(m, d) unit vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """A step's result, marks and vectors, published in one transaction."""

    result: Mapping[str, Any]
    marks: Mapping[str, Column] = field(default_factory=lambda: NOTHING)
    """By name, a value for each asset of the snapshot; None where there is none. The names in
    `triptych.model.MARKS` are columns that readers filter by; any other mark is kept as JSON. No
    two steps may use the same name."""
    vectors: Vectors | None = None
