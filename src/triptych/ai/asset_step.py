"""The interface of an asset step: it computes something from each picture's pixels alone.

Its results are features (`triptych.features`): kept once for each content and version, whichever
brands have the picture, so that a run computes only what is new. Brand-wide steps read them
through their context.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.ai.step import STEP_NAME_MAX_CHARS
from triptych.features.feature_store import FeatureKind
from triptych.runtime.plug_ins import load_or_failing

ENTRY_POINT_GROUP = "triptych.features"
SIDE_MAX = 2_048
"""Decoded, a picture of this side has 12 MiB."""
BATCH_MAX = 64
BATCH_MAX_BYTES = 256 * 1024 * 1024
"""Of the pixels of one batch at most, whatever the pictures."""
RGB = 3

Picture = npt.NDArray[np.uint8]
"""A picture upright and whole, (height, width, 3), RGB in sRGB."""


class Given(Enum):
    """What an asset step is given of each content."""

    PICTURE = "picture"
    """A `Picture`."""
    FACTS = "facts"
    """`triptych.media.file_facts.FileFacts`: what its file shows, measured at its own size."""


@dataclass(frozen=True, slots=True)
class AssetStep:
    """A step that looks at one picture at a time.

    Raises:
        ValueError: a field is invalid.
    """

    name: str
    """The kind of feature: unique among asset steps and the same in every version."""
    version: int
    """Counts from 1; increases with every change to the meaning of the results."""
    side: int
    """Longest side of the pictures that it is given, in pixels; smaller ones are not enlarged."""
    batch: int
    """Pictures that it is given at a time. Their results are kept before the next ones."""
    compute: Callable[[Sequence[Any]], Sequence[Mapping[str, Any]]]
    """Returns a JSON object for each picture, in their order. Runs in a thread, one call at a time
    in a phase. Called with no pictures first, to load its model: an exception then fails the step.
    Later, an exception fails the batch, whose pictures are then tried one by one; one that fails by
    itself is not tried again by this version. The same picture gives the same result."""
    given: Given = Given.PICTURE
    """What it is given instead of pictures, if anything; ``side`` is then of no meaning."""

    def __post_init__(self) -> None:
        if not (0 < len(self.name) <= STEP_NAME_MAX_CHARS and self.name.isprintable()):
            raise ValueError(f"A step's name has 1 to {STEP_NAME_MAX_CHARS} printable characters.")
        if self.version < 1:
            raise ValueError(f"Asset step {self.name!r}: versions count from 1.")
        if not 0 < self.side <= SIDE_MAX:
            raise ValueError(f"Asset step {self.name!r}: its side is 1 to {SIDE_MAX} pixels.")
        largest = min(BATCH_MAX, BATCH_MAX_BYTES // (self.side**2 * RGB))
        if not 0 < self.batch <= largest:
            raise ValueError(f"Asset step {self.name!r}: a batch has 1 to {largest} pictures.")

    @property
    def kind(self) -> FeatureKind:
        """What its results are kept as."""
        return FeatureKind(self.name, self.version)


def discover_asset_steps() -> Sequence[AssetStep]:
    """Return the installed asset steps: the entry points of the group ``triptych.features``.

    Never raises for a plug-in: one that cannot be used becomes a step that fails with the reason.
    """
    return load_or_failing(
        ENTRY_POINT_GROUP, AssetStep, "asset step", name_of=lambda step: step.name, failing=_failing
    )


def _failing(name: str, problem: Exception) -> AssetStep:
    def compute(_: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
        raise problem.with_traceback(None)

    return AssetStep(name[:STEP_NAME_MAX_CHARS], 1, 1, 1, compute)
