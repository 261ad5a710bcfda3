"""Running one AI step by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triptych.ai.asset_step import AssetStep
from triptych.ai.phase import AiPhase, AssetSteps
from triptych.ai.step import Snapshot, Step, load_snapshot
from triptych.model import Metadata
from triptych.testing.memory_stores import MemoryStores, memory_stores
from triptych.testing.picture_pixels import MadePictures
from triptych.testing.pictures import Picture, commit_pictures


class StepFailed(AssertionError):
    """The step raised, or its output cannot be published."""


@dataclass(frozen=True, slots=True)
class StepRun:
    """The published output of a step."""

    result: Metadata
    """The result with Triptych's fields: ``version``, ``assets`` and ``sampled``."""
    marks: Mapping[str, Metadata]
    """The marks of individual assets, by their URLs; without assets that have none."""

    def marked(self, name: str) -> Mapping[str, Any]:
        """Return the values of one mark, by the assets' URLs."""
        return {url: said[name] for url, said in self.marks.items() if name in said}


async def make_snapshot(
    pictures: Sequence[Picture], *, brand: str = "brand", stores: MemoryStores | None = None
) -> Snapshot:
    """Return a committed snapshot of these pictures in a step's form, with an empty context."""
    stores = stores or memory_stores()
    return await load_snapshot(stores.snapshots, await commit_pictures(stores, pictures, brand))


async def run_step(
    step: Step,
    pictures: Sequence[Picture],
    *,
    brand: str = "brand",
    stores: MemoryStores | None = None,
    asset_steps: Sequence[AssetStep] = (),
) -> StepRun:
    """Commit pictures as a brand's next snapshot, run one step over it and return its output.

    ``asset_steps`` run before, so that the step can read their features; if one fails, its outcome
    there says so, as in the AI phase. Called again with the same ``stores``, the step sees its
    earlier output and the other brands. Everything is validated as in the AI phase. Pictures have
    the pixels that they were made with; there is no text encoder.

    Raises:
        StepFailed: it raised, or its output cannot be published; contains the error.
    """
    stores = stores or memory_stores()
    run = await commit_pictures(stores, pictures, brand)
    made = MadePictures(pictures)
    assets = AssetSteps(asset_steps, stores.features, made) if asset_steps else None
    phase = AiPhase(stores.ai, stores.snapshots, [step], pixels=made.of, assets=assets)
    await phase.process(brand, run.id)
    (insight,) = await stores.snapshots.insights(run.id)
    if insight.result is None:
        raise StepFailed(insight.error)
    urls = {one.key: one.url for one in pictures}
    marks = await stores.snapshots.marks(run.id, list(urls))
    return StepRun(insight.result, {urls[key]: said for key, said in marks.items()})
