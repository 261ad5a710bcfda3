"""Running one asset step by itself."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from triptych.ai.asset_step import AssetStep
from triptych.ai.asset_step_run import AssetStepRun
from triptych.ai.context import AssetStepOutcome, no_progress
from triptych.ai.step import load_snapshot
from triptych.model import Metadata
from triptych.testing.memory_stores import MemoryStores, memory_stores
from triptych.testing.picture_pixels import MadePictures
from triptych.testing.pictures import Picture, commit_pictures
from triptych.testing.run_step import StepFailed


@dataclass(frozen=True, slots=True)
class PictureFeatures:
    """What is kept of an asset step's work on some pictures."""

    features: Mapping[str, Metadata]
    """The results by the pictures' URLs, those of earlier calls included."""
    errors: Mapping[str, str]
    """Why the step failed for a picture, by its URL."""
    outcome: AssetStepOutcome
    """What this call did: how many contents were computed, failed, were away, and wait."""


async def run_asset_step(
    step: AssetStep,
    pictures: Sequence[Picture],
    *,
    brand: str = "brand",
    stores: MemoryStores | None = None,
    batches: int | None = None,
) -> PictureFeatures:
    """Commit pictures as a brand's next snapshot, and run one asset step over it.

    As in the AI phase: the step is first called without pictures, then with at most ``step.batch``
    of them, no side longer than ``step.side``. Each batch's results are checked and kept before the
    next, each content is computed once, and pictures that fail together are tried one by one.
    ``batches`` ends the work after so many, as if the phase had no more time: called again with the
    same ``stores``, it goes on with the rest. Pictures without pixels are away.

    Raises:
        StepFailed: the step cannot go on: it raised without pictures, or took too long.
    """
    stores = stores or memory_stores()
    snapshot = await load_snapshot(stores.snapshots, await commit_pictures(stores, pictures, brand))
    # The clock counts the batches: it is read once before each.
    batch = itertools.count()
    work = AssetStepRun(
        step, stores.features, MadePictures(pictures), clock=lambda: float(next(batch))
    )
    ends = math.inf if batches is None else float(batches)
    outcome = await work.run(snapshot, ends=ends, progress=no_progress)
    if outcome.error is not None:
        raise StepFailed(outcome.error)
    kept = await stores.features.read(step.kind, list({one.sha256 for one in pictures}))
    found = {one.url: kept[one.sha256] for one in pictures if one.sha256 in kept}
    return PictureFeatures(
        {url: each.result for url, each in found.items() if each.result is not None},
        {url: each.error for url, each in found.items() if each.error is not None},
        outcome,
    )
