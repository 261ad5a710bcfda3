"""What a step may know beside its snapshot, and what it may give beside its result."""

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
from triptych.model import Asset

Column = Sequence[Any] | npt.NDArray[Any]

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Pixels(Protocol):
    """Small pictures of a snapshot's assets, from the object store. Blocks while it reads one."""

    def __call__(self, row: int, side: int) -> npt.NDArray[np.uint8] | None:
        """Return asset ``row`` squashed into (side, side, 3), RGB; None if it cannot be had."""
        ...


def no_pixels(row: int, side: int) -> npt.NDArray[np.uint8] | None:  # noqa: ARG001
    """Stand for an object store that is not there."""
    return None


@dataclass(frozen=True, slots=True, eq=False)
class OtherBrand:
    """Another brand's snapshot in a few centroids, of the same model as the snapshot at hand."""

    brand: str
    run_id: UUID
    directions: npt.NDArray[np.float32]
    """(c, d) unit vectors: where each cell's pictures point to on average."""
    lengths: npt.NDArray[np.float64]
    """(c,): of the means of the cells' unit vectors: 1 where all are alike."""
    sizes: npt.NDArray[np.float64]
    """(c,): embedded assets in each cell."""

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """(d,): mean of all the brand's unit vectors."""
        weights = self.sizes * self.lengths / self.sizes.sum()
        return np.asarray(weights @ self.directions)


class Others(Protocol):
    """What the other brands' snapshots are at this moment. Blocks while it reads."""

    def brands(self) -> Iterable[OtherBrand]:
        """Yield every other brand that the step `across` has described, by name."""
        ...

    def assets(self, brand: OtherBrand, limit: int) -> Iterable[Sequence[Asset]]:
        """Yield a brand's first ``limit`` assets by key, some hundreds at a time.

        Ends early when its snapshot is deleted meanwhile.
        """
        ...


class NoOthers:
    """Stands for a catalogue with no other brand."""

    def brands(self) -> Iterable[OtherBrand]:
        """Yield nothing."""
        return ()

    def assets(self, brand: OtherBrand, limit: int) -> Iterable[Sequence[Asset]]:  # noqa: ARG002
        """Yield nothing."""
        return ()


NO_OTHERS = NoOthers()


def no_text() -> TextEncoder | None:
    """Stand for a text encoder that is not there."""
    return None


def no_progress(_share: float) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """What the AI phase published for the brand's last snapshot before this one.

    For steps whose answers should stay put while a brand grows: names of clusters, places on
    a map. With its result, a step gets only what itself gave.
    """

    keys: npt.NDArray[np.uint8]
    """(n, 16): of the assets that were marked then."""
    marks: Mapping[str, Column]
    """By name, a value for each of ``keys``; those of all steps."""
    results: Mapping[str, Mapping[str, Any]]
    """By step."""

    def rows_of(self, keys: npt.NDArray[np.uint8]) -> npt.NDArray[np.intp]:
        """Return for each of ``keys`` its row here, or -1."""
        row_of = {key.tobytes(): row for row, key in enumerate(self.keys)}
        return np.array([row_of.get(key.tobytes(), -1) for key in keys], np.intp)


def as_earlier(published: Published) -> Earlier:
    """Return what was published as steps see it; failed insights are left out."""
    results = {i.kind: i.result for i in published.insights if i.result is not None}
    return Earlier(published.marks.keys, published.marks.values, results)


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What surrounds a snapshot. All of it may be missing; a step says what it does without."""

    earlier: Earlier | None = None
    pixels: Pixels = no_pixels
    others: Others = NO_OTHERS
    text: Callable[[], TextEncoder | None] = no_text
    """Loads what turns texts into vectors of the images' space, at the first call; None where there
    is none. Its `image_model` must be the snapshot's `model`."""
    vocabulary: Callable[[], Vocabulary] = default_vocabulary
    """Reads what pictures are tagged with."""
    progress: Callable[[float], None] = no_progress
    """Takes the share that is done, 0..1. Cheap: call it as often as is convenient."""


ALONE = Context()
"""Nothing around."""


@dataclass(frozen=True, slots=True, eq=False)
class Vectors:
    """A vector for some assets in a space of a step's own, for search."""

    model: str
    """Names the space; vectors of two spaces are never compared."""
    rows: npt.NDArray[np.intp]
    """(m,): which assets, ascending."""
    vectors: npt.NDArray[np.float16]
    """(m, d) unit vectors."""


@dataclass(frozen=True, slots=True, eq=False)
class StepResult:
    """A step's result with what it says of single assets. All is published in one transaction."""

    result: Mapping[str, Any]
    marks: Mapping[str, Column] = field(default_factory=lambda: NOTHING)
    """By name, a value for each asset of the snapshot, None for nothing. The names of
    `triptych.model.MARKS` are columns that readers filter by; any other is kept as JSON. No two
    steps give one name."""
    vectors: Vectors | None = None
