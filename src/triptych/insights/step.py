"""The step interface: a pure function over a committed snapshot, found by entry point.

A package of one's own adds a step by naming it in the entry point group ``triptych.insights``::

    [project.entry-points."triptych.insights"]
    formats = "my_package:FORMATS"

where ``FORMATS = Step("formats", run)`` and ``run`` takes a `Snapshot` and returns JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from triptych.model import Asset, Run
from triptych.ports import Reading

GROUP = "triptych.insights"
ASSETS_IN_MEMORY_MAX = 200_000
"""A larger snapshot is sampled: 200,000 × 1280 half floats are 512 MB."""
STREAM_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A committed snapshot in columns; row i of each column is the same asset.

    Ordered by key, so the same snapshot gives the same columns. What has no embedding, or one of
    another model than most, has a row of zeros and ``embedded`` False.
    """

    brand: str
    run_id: UUID
    model: str | None
    keys: Sequence[str]
    """Hexadecimal."""
    urls: Sequence[str]
    sha256: Sequence[bytes]
    phash: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.int64]
    """Width times height."""
    size_bytes: npt.NDArray[np.int64]
    embeddings: npt.NDArray[np.float16]
    """Shape (n, d), rows of unit length; d is 0 without any embedding."""
    embedded: npt.NDArray[np.bool_]
    total: int
    """Assets in the snapshot; more than there are rows if it was sampled."""

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class Step:
    """One question to a snapshot."""

    name: str
    """The insight's kind: one step, one insight."""
    run: Callable[[Snapshot], Mapping[str, Any]]
    """Pure: the same snapshot gives the same JSON. Runs in a thread of its own."""


def discover() -> Sequence[Step]:
    """Return the installed steps by name; one that cannot be loaded fails when it is run."""
    return [_load(entry) for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name)]


def _load(entry: Any) -> Step:
    try:
        found = entry.load()
        if not isinstance(found, Step):
            message = f"{entry.value} is no Step"
            raise TypeError(message)
    except Exception as error:  # noqa: BLE001 - a plug-in may raise anything when imported
        return Step(entry.name, _failing(error))
    return found


def _failing(error: Exception) -> Callable[[Snapshot], Mapping[str, Any]]:
    def run(_snapshot: Snapshot) -> Mapping[str, Any]:
        message = f"the step cannot be loaded: {type(error).__name__}: {error}"
        raise RuntimeError(message) from error

    return run


async def load_snapshot(catalogue: Reading, run: Run) -> Snapshot:
    """Read a run's snapshot into columns, or an even sample of it if it is very large.

    The sample is by key, which is a hash: the same URLs are in it from run to run.
    """
    total = (run.added or 0) + (run.kept or 0) + (run.changed or 0)
    share = min(1.0, ASSETS_IN_MEMORY_MAX / max(total, 1))
    assets: list[Asset] = []
    vectors: list[npt.NDArray[np.float16] | None] = []
    async for page in catalogue.stream_assets(run.id, batch=STREAM_BATCH):
        for asset in page:
            if not _sampled(asset.key, share):
                continue
            vector = asset.embedding
            vectors.append(None if vector is None else vector.astype(np.float16))
            assets.append(_slim(asset))
    model = _main_model(assets)
    embeddings, embedded = _columns(assets, vectors, model)
    return Snapshot(
        brand=run.brand,
        run_id=run.id,
        model=model,
        keys=[asset.key.hex() for asset in assets],
        urls=[asset.url for asset in assets],
        sha256=[asset.sha256 for asset in assets],
        phash=np.array([asset.phash for asset in assets], np.int64),
        pixels=np.array([asset.width * asset.height for asset in assets], np.int64),
        size_bytes=np.array([asset.size_bytes for asset in assets], np.int64),
        embeddings=embeddings,
        embedded=embedded,
        total=total,
    )


def _sampled(key: bytes, share: float) -> bool:
    return share >= 1.0 or int.from_bytes(key[:8]) < share * 2**64


def _slim(asset: Asset) -> Asset:
    """Drop what the columns do not take, so that a large snapshot's metadata never piles up."""
    return replace(asset, embedding=None, metadata={})


def _main_model(assets: Sequence[Asset]) -> str | None:
    counts: dict[str, int] = {}
    for asset in assets:
        if asset.model is not None:
            counts[asset.model] = counts.get(asset.model, 0) + 1
    return max(sorted(counts), key=counts.__getitem__, default=None)


def _columns(
    assets: Sequence[Asset],
    vectors: list[npt.NDArray[np.float16] | None],
    model: str | None,
) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.bool_]]:
    usable = [
        vector if vector is not None and asset.model == model else None
        for asset, vector in zip(assets, vectors, strict=True)
    ]
    dimension = next((len(vector) for vector in usable if vector is not None), 0)
    embeddings = np.zeros((len(assets), dimension), np.float16)
    embedded = np.zeros(len(assets), np.bool_)
    for row, vector in enumerate(usable):
        if vector is not None and len(vector) == dimension:
            embeddings[row] = vector
            embedded[row] = True
            vectors[row] = None
    return embeddings, embedded
