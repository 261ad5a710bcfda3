"""The interface of an AI step, its input, and the discovery of steps.

A step is a pure function over a committed snapshot. It changes nothing; its return value is
published with the results of all other steps in one transaction (`triptych.ai.phase`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from triptych.ai.alt_texts import alt_text_of
from triptych.ai.context import ALONE, Context, StepResult
from triptych.ai.titles import titles_of
from triptych.model import KEY_BYTES, Asset, Colour, Run
from triptych.runtime.plug_ins import load_or_failing
from triptych.snapshots.snapshot_store import SnapshotStore

ENTRY_POINT_GROUP = "triptych.insights"
STEP_NAME_MAX_CHARS = 100

SNAPSHOT_MAX_ASSETS_IN_MEMORY = 200_000
"""Larger snapshots are sampled. This many 1280-d embeddings in half precision take 512 MB."""
READ_BATCH = 1_000
"""Assets read from the database at a time."""
SHA256_BYTES = 32
FIRST_CAPACITY = 1_024
"""Embeddings to allocate memory for when the run does not report its number of assets."""


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """A committed snapshot's pictures in columns: row ``i`` of each is asset ``i``. Read-only.

    Assets come in key order. A key is the head of a SHA-256, so the first
    `SNAPSHOT_MAX_ASSETS_IN_MEMORY` keys are an even sample of a larger snapshot: the same one
    each time, and nearly the same one in the next run.
    """

    brand: str
    run_id: UUID
    keys: npt.NDArray[np.uint8]
    """(n, 16)."""
    urls: Sequence[str]
    sha256: npt.NDArray[np.uint8]
    """(n, 32)."""
    phash: npt.NDArray[np.int64]
    """(n,): 64 bits of perceptual hash."""
    widths: npt.NDArray[np.int64]
    """(n,), in pixels."""
    heights: npt.NDArray[np.int64]
    """(n,), in pixels."""
    size_bytes: npt.NDArray[np.int64]
    """(n,)."""
    model: str | None
    """The model of the embeddings; None when there are none."""
    embeddings: npt.NDArray[np.float16]
    """(m, d) unit vectors, all of ``model``. m <= n: an asset may have no embedding, or one of
    another model, which is never compared with these."""
    embedded: npt.NDArray[np.intp]
    """(m,): ``embeddings[j]`` belongs to asset ``embedded[j]``. Ascending."""
    sampled: bool
    """True when the snapshot has more assets than these."""
    media_types: Sequence[str]
    colours: Sequence[tuple[Colour, ...]]
    """The dominant colours of each asset, the largest share first."""
    titles: Sequence[tuple[str, ...]] = ()
    """What each asset's metadata call it, see `titles_of`. Empty if the metadata were not read, as
    in snapshots that are made by hand."""
    alt_texts: Sequence[str | None] = ()
    """Each asset's alt text, see `alt_text_of`. Empty if the metadata were not read."""
    context: Context = ALONE

    def __len__(self) -> int:
        """Return the number of assets."""
        return len(self.urls)

    def key(self, asset: int) -> str:
        """Return an asset's key in hexadecimal, as used in results."""
        return bytes(self.keys[asset]).hex()


@dataclass(frozen=True, slots=True)
class Step:
    """An AI step.

    Raises:
        ValueError: the name or version is invalid.
    """

    name: str
    """The kind of insight: unique among the steps and the same in every version."""
    version: int
    """Counts from 1; increases with every change to the meaning of the results."""
    run: Callable[[Snapshot], Mapping[str, Any] | StepResult]
    """Returns a JSON object, or a `StepResult` with marks of individual assets as well. Runs in its
    own thread; an exception fails this step only. The same snapshot gives the same result."""

    def __post_init__(self) -> None:
        if not (0 < len(self.name) <= STEP_NAME_MAX_CHARS and self.name.isprintable()):
            raise ValueError(f"A step's name has 1 to {STEP_NAME_MAX_CHARS} printable characters.")
        if self.version < 1:
            raise ValueError(f"Step {self.name!r}: versions count from 1.")


def discover() -> Sequence[Step]:
    """Return the installed steps: the entry points of the group ``triptych.insights``.

    Never raises for a plug-in: one that cannot be imported, is not a `Step` or has a name that is
    taken becomes a step that fails with the reason. So users see it, and the others still run.
    """
    return load_or_failing(
        ENTRY_POINT_GROUP, Step, "step", name_of=lambda step: step.name, failing=_failing
    )


def _failing(name: str, problem: Exception) -> Step:
    def run(_: Snapshot) -> Mapping[str, Any]:
        raise problem.with_traceback(None)

    return Step(name[:STEP_NAME_MAX_CHARS], 1, run)


async def load_snapshot(snapshots: SnapshotStore, run: Run) -> Snapshot:
    """Read a run's snapshot, at most `SNAPSHOT_MAX_ASSETS_IN_MEMORY` assets of it.

    If assets have embeddings of several models, the model with the most assets is used.

    Raises:
        DatabaseUnavailable: the database is unavailable.
    """
    columns = _Columns(_count(run))
    sampled = False
    async for batch in snapshots.stream_assets(run.id, batch=READ_BATCH):
        room = SNAPSHOT_MAX_ASSETS_IN_MEMORY - len(columns)
        columns.add(batch[:room])
        if len(batch) > room:
            sampled = True
            break
    return columns.snapshot(run, sampled=sampled)


def _count(run: Run) -> int:
    """Return the number of assets that the commit counted; 0 if it recorded none."""
    return (run.added or 0) + (run.kept or 0) + (run.changed or 0)


class _Columns:
    """Collects the columns of a snapshot in as little memory as possible."""

    def __init__(self, expected: int) -> None:
        self._capacity = min(expected or FIRST_CAPACITY, SNAPSHOT_MAX_ASSETS_IN_MEMORY)
        self._keys = bytearray()
        self._sha256 = bytearray()
        self._urls: list[str] = []
        self._media_types: list[str] = []
        self._colours: list[tuple[Colour, ...]] = []
        self._titles: list[tuple[str, ...]] = []
        self._alt_texts: list[str | None] = []
        self._numbers: list[npt.NDArray[np.int64]] = []
        self._vectors: dict[str, _Vectors] = {}

    def __len__(self) -> int:
        return len(self._urls)

    def add(self, assets: Sequence[Asset]) -> None:
        """Add the pictures; skip other media, which steps cannot use."""
        pictures = [asset for asset in assets if asset.phash is not None]
        for row, asset in enumerate(pictures, start=len(self)):
            self._keys += asset.key
            self._sha256 += asset.sha256
            self._urls.append(asset.url)
            self._media_types.append(asset.media_type)
            self._colours.append(asset.colours)
            self._titles.append(titles_of(asset.metadata))
            self._alt_texts.append(alt_text_of(asset.metadata))
            if asset.embedding is not None and asset.model is not None:
                if asset.model not in self._vectors:
                    self._vectors[asset.model] = _Vectors(self._capacity - row)
                self._vectors[asset.model].add(row, asset.embedding)
        numbers = [(a.phash, a.width, a.height, a.size_bytes) for a in pictures]
        self._numbers.append(np.array(numbers, dtype=np.int64).reshape(-1, 4))

    def snapshot(self, run: Run, *, sampled: bool) -> Snapshot:
        # The name breaks ties, so that the choice does not depend on the order of the assets.
        model = max(self._vectors, key=lambda name: (len(self._vectors[name]), name), default=None)
        vectors = self._vectors[model] if model is not None else _Vectors(0)
        numbers = np.concatenate([np.empty((0, 4), np.int64), *self._numbers])
        phash, widths, heights, size_bytes = (_frozen(column.copy()) for column in numbers.T)
        return Snapshot(
            brand=run.brand,
            run_id=run.id,
            keys=np.frombuffer(bytes(self._keys), np.uint8).reshape(-1, KEY_BYTES),
            urls=tuple(self._urls),
            sha256=np.frombuffer(bytes(self._sha256), np.uint8).reshape(-1, SHA256_BYTES),
            phash=phash,
            widths=widths,
            heights=heights,
            size_bytes=size_bytes,
            model=model,
            embeddings=_frozen(vectors.array()),
            embedded=_frozen(np.array(vectors.rows, dtype=np.intp)),
            sampled=sampled,
            media_types=tuple(self._media_types),
            colours=tuple(self._colours),
            titles=tuple(self._titles),
            alt_texts=tuple(self._alt_texts),
        )


class _Vectors:
    """The embeddings of one model in an array that grows in place, so it is never copied."""

    def __init__(self, expected: int) -> None:
        self._expected = max(expected, 1)
        self._array = np.empty((0, 0), np.float16)
        self.rows: list[int] = []

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: int, embedding: npt.NDArray[np.float32]) -> None:
        filled = len(self.rows)
        if filled == 0:
            self._array = np.empty((self._expected, embedding.size), np.float16)
        elif filled == len(self._array):
            # Nothing else refers to the array before `array` hands it out.
            self._array.resize((2 * filled, self._array.shape[1]), refcheck=False)
        self._array[filled] = embedding
        self.rows.append(row)

    def array(self) -> npt.NDArray[np.float16]:
        return self._array[: len(self.rows)]


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    array.flags.writeable = False
    return array
