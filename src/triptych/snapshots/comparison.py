"""Two brands compared: the similarity of their centres, and the assets they have in common.

Bounded whatever their size: `SAMPLE` embeddings of each snapshot are read, those with the lowest
keys. Keys are hashes, so this is a uniform sample, and the same one each time.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

import numpy as np
import numpy.typing as npt
from msgspec import Meta

from triptych.errors import NotSearchable
from triptych.runs.brand_store import BrandStore
from triptych.snapshots.asset_shown import AssetShown
from triptych.snapshots.search_store import Sample, SearchStore
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.wire import Wire

SAMPLE = 2_000
"""Embeddings of each brand: 10 MB of 1280-d, and 16 MB of cosines between the two."""
PAIRS_MAX = 50
"""Pairs of assets that are listed, of each kind."""
COSINE_MIN = 0.9
"""Least cosine of look-alikes. Each must also be the other's nearest."""
DEADLINE_S = 15.0
"""For the database's comparison of contents."""

Floats = npt.NDArray[np.float32]


class Pair(Wire, frozen=True):
    """An asset of the one brand and one of the other."""

    similarity: float
    asset: AssetShown
    other: AssetShown


class Pairs(Wire, frozen=True):
    """Assets that two brands have in common; all are counted, the first ones named."""

    count: int
    items: list[Pair]


class Comparison(Wire, frozen=True):
    """Two brands side by side."""

    brand: str
    other: str
    runs: Annotated[list[UUID], Meta(description="The two snapshots.")]
    model: Annotated[str | None, Meta(description="Whose embeddings were compared.")]
    """None when the brands have none of one model."""
    similarity: Annotated[
        float | None, Meta(description="Cosine of the two centres; null without a common model.")
    ]
    compared: Annotated[
        list[int], Meta(description="Embeddings looked at: an even sample of each snapshot.")
    ]
    shared: Annotated[Pairs, Meta(description="The same bytes, among all assets.")]
    lookalikes: Annotated[
        Pairs, Meta(description="Of the sample: each the other's nearest, and near.")
    ]
    """The most alike first; never the same bytes."""


async def compare(
    brands: BrandStore, snapshots: SnapshotStore, search: SearchStore, brand: str, other: str
) -> Comparison:
    """Compare the current snapshots of two brands.

    Raises:
        BrandNotFound: one of them is not there.
        NotSearchable: one of them has no snapshot yet.
        SearchUnavailable: it took too long.
    """
    runs = [await _snapshot(brands, brand), await _snapshot(brands, other)]
    shared = await search.shared(runs[0], runs[1], limit=PAIRS_MAX, deadline_s=DEADLINE_S)
    samples = [await search.sample(run_id, limit=SAMPLE) for run_id in runs]
    model = _common_model(*samples)
    found = _Found(None, [], (0, 0))
    if model is not None:
        found = await asyncio.to_thread(_compare, samples[0], samples[1], model)
    alike = found.pairs[:PAIRS_MAX]
    named = [*shared.pairs, *((one, them) for one, them, _ in alike)]
    ours = await snapshots.assets_of(runs[0], [one for one, _ in named])
    their = await snapshots.assets_of(runs[1], [them for _, them in named])

    def pairs(count: int, some: Iterable[tuple[bytes, bytes, float]]) -> Pairs:
        there = ((k, t, cosine) for k, t, cosine in some if k in ours and t in their)
        return Pairs(
            count,
            [Pair(c, AssetShown.of(ours[k]), AssetShown.of(their[t])) for k, t, c in there],
        )

    return Comparison(
        brand,
        other,
        runs,
        model,
        found.similarity,
        list(found.compared),
        pairs(shared.count, ((one, them, 1.0) for one, them in shared.pairs)),
        pairs(len(found.pairs), alike),
    )


async def _snapshot(brands: BrandStore, brand: str) -> UUID:
    run_id = await brands.snapshot_of(brand)
    if run_id is None:
        raise NotSearchable(
            f"Brand {brand!r} has no snapshot yet.", remedy="Wait for its run to commit."
        )
    return run_id


def _common_model(one: Sample, other: Sample) -> str | None:
    """Return the model that embedded most assets of both."""
    here, there = Counter(one.models), Counter(other.models)
    return max(here.keys() & there.keys(), key=lambda m: (min(here[m], there[m]), m), default=None)


@dataclass(frozen=True, slots=True)
class _Found:
    similarity: float | None
    pairs: list[tuple[bytes, bytes, float]]
    compared: tuple[int, int]


def _compare(one: Sample, other: Sample, model: str) -> _Found:
    """Return the cosine of the means, and the pairs of keys that are look-alikes."""
    here, there = _rows_of(one, model), _rows_of(other, model)
    ours, theirs = _vectors(one, here), _vectors(other, there)
    centres = ours.mean(axis=0), theirs.mean(axis=0)
    length = float(np.linalg.norm(centres[0]) * np.linalg.norm(centres[1]))
    similarity = float(centres[0] @ centres[1]) / length if length else None
    cosines = ours @ theirs.T
    nearest, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    at = np.arange(len(ours))
    best = np.clip(cosines[at, nearest], -1, 1)
    near = np.flatnonzero((back[nearest] == at) & (best >= COSINE_MIN))
    near = near[np.argsort(-best[near], kind="stable")]
    pairs = [(here[row], there[nearest[row]], float(best[row])) for row in near]
    different = [
        (one.keys[mine], other.keys[yours], cosine)
        for mine, yours, cosine in pairs
        if one.sha256[mine] != other.sha256[yours]
    ]
    return _Found(similarity, different, (len(here), len(there)))


def _rows_of(sample: Sample, model: str) -> list[int]:
    return [row for row, name in enumerate(sample.models) if name == model]


def _vectors(sample: Sample, rows: Sequence[int]) -> Floats:
    return np.stack([sample.vectors[row] for row in rows]).astype(np.float32)
