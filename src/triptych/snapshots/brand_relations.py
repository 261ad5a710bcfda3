"""How two brands are related: the one definition of their similarity and of what they share.

Everything is computed when it is asked for, from the snapshots that are current then, so that it
never matters which of the brands committed last. Snapshots do not change: what was computed for one
or for a pair is kept in memory, by their runs.

- The *similarity* of two brands is the cosine of their centres. A centre is the mean of at most
  `SAMPLE` embeddings, those with the lowest keys. Keys are hashes, so this is a uniform sample, and
  the same one each time.
- *Shared* are the contents (the same bytes) that both have, among all assets.
- *Look-alikes* are pairs of pictures with different bytes that neither brand shares, each the most
  similar of the other brand's pictures, with near embeddings and near perceptual hashes; among the
  assets of both samples.

All three are the same whichever brand is asked about.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar
from uuid import UUID

import numpy as np
import numpy.typing as npt
import structlog
from msgspec import Meta

from triptych.errors import SearchUnavailable
from triptych.runs.brand_store import BrandStore
from triptych.snapshots.search_store import Centre, Sample, SearchStore, Shared
from triptych.wire import Wire

SAMPLE = 2_000
"""Embeddings of each brand: 10 MB of 1280-d, and 16 MB of cosines between the two."""
PAIRS_MAX = 50
"""Pairs of assets that are named, of each kind."""
COSINE_MIN = 0.9
"""Least cosine of look-alikes."""
HAMMING_MAX_BITS = 10
"""Most bits in which the 64-bit perceptual hashes of look-alikes differ."""
STRUCTURE_BITS = (24, 40)
"""Hashes with fewer or more bits set come from pictures without detail and prove little…"""
PLAIN_COSINE_MIN = 0.98
"""…so that then the embeddings must agree the more."""
NEAREST_MAX = 20
"""Brands that a list of the nearest names, at most."""
COUNTED_MAX = 10
"""Those of them, the most similar first, whose shared pictures are counted."""
BRANDS_MAX = 5_000
"""Brands that one is compared with, at most: the first by name."""
CENTRES_BATCH = 50
"""Centres that one statement computes."""
KEPT_CENTRES = 5_000
"""Snapshots whose centres are kept in memory: 25 MB of 1280-d."""
KEPT_RELATIONS = 2_000
"""Pairs of snapshots whose relation is kept: 20 MB if each names all of its pairs."""
DEADLINE_S = 15.0
"""For one request, the database's work included."""
AT_ONCE = 2
"""Pairs that are compared at the same time."""

Floats = npt.NDArray[np.float32]
K = TypeVar("K")
V = TypeVar("V")

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Relation:
    """Two snapshots, in this order."""

    model: str | None
    """Whose embeddings were compared; None when they have none of one model."""
    similarity: float | None
    """Cosine of the centres; None without a common model."""
    compared: tuple[int, int]
    """Embeddings of that model in the two samples."""
    shared: Shared
    lookalikes: int
    pairs: Sequence[tuple[bytes, bytes, float]]
    """The keys and the cosine of some look-alikes, the most alike first."""

    def turned(self) -> Relation:
        """Return the same relation, seen from the other snapshot."""
        return replace(
            self,
            compared=(self.compared[1], self.compared[0]),
            shared=Shared(self.shared.count, [(them, one) for one, them in self.shared.pairs]),
            pairs=[(them, one, cosine) for one, them, cosine in self.pairs],
        )


class NearBrand(Wire, frozen=True):
    """Another brand, and how it is related to the one that was asked about."""

    brand: str
    similarity: Annotated[float, Meta(description="Cosine of the two centres.")]
    shared: Annotated[
        int | None, Meta(description="Contents (the same bytes) that both have; null: not counted.")
    ]
    lookalikes: Annotated[
        int | None, Meta(description="Pairs of pictures that look the same; null: not counted.")
    ]


class NearBrands(Wire, frozen=True):
    """The brands most similar to one, as their snapshots are now."""

    run: Annotated[UUID | None, Meta(description="The brand's snapshot.")]
    items: Annotated[list[NearBrand], Meta(description="The most similar first.")]
    brands: Annotated[int, Meta(description="Brands it was compared with.")]
    left_out: Annotated[
        int,
        Meta(description="Brands it was not compared with: no common model, too many, or no time."),
    ]


class BrandRelations:
    """Computes relations, and keeps what follows from snapshots, which do not change."""

    def __init__(self, brands: BrandStore, search: SearchStore) -> None:
        self._brands = brands
        self._search = search
        self._centres: dict[UUID, Sequence[Centre]] = {}
        self._relations: dict[tuple[UUID, UUID], Relation] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def between(self, one: UUID, other: UUID, *, deadline_s: float = DEADLINE_S) -> Relation:
        """Return the relation of two snapshots.

        Raises:
            SearchUnavailable: it took too long.
        """
        # Always computed in one order: rounding cannot make the two directions differ.
        first, second = sorted((one, other))
        try:
            async with asyncio.timeout(deadline_s), self._slots:
                known = self._relations.get((first, second))
                if known is None:
                    known = await self._relate(first, second, deadline_s)
                    _keep(self._relations, (first, second), known, KEPT_RELATIONS)
        except TimeoutError as error:
            raise SearchUnavailable(
                f"Comparing the brands took longer than {deadline_s:g} s.",
                remedy="Try again in a moment.",
            ) from error
        return known if first == one else known.turned()

    async def nearest(self, brand: str) -> NearBrands:
        """Return the brands that are most similar to one; none before its first snapshot.

        What is not counted within `DEADLINE_S` is null, and the brands left out are counted.

        Raises:
            BrandNotFound: it is not there.
        """
        ends = time.monotonic() + DEADLINE_S
        run_id = await self._brands.snapshot_of(brand)
        if run_id is None:
            return NearBrands(None, [], 0, 0)
        others, total = await self._search.snapshots(besides=brand, limit=BRANDS_MAX)
        centres = await self._centres_of([run_id, *(run for _, run in others)], ends)
        own = centres.get(run_id, [])
        found = []
        for name, run in others:
            _, similarity, _ = compare_centres(own, centres.get(run, []))
            if similarity is not None:
                found.append((similarity, name, run))
        found.sort(key=lambda entry: (-entry[0], entry[1]))
        items = [
            await self._near(run_id, name, run, similarity, ends if at < COUNTED_MAX else 0.0)
            for at, (similarity, name, run) in enumerate(found[:NEAREST_MAX])
        ]
        return NearBrands(run_id, items, len(found), total - len(found))

    async def _near(
        self, run_id: UUID, name: str, run: UUID, similarity: float, ends: float
    ) -> NearBrand:
        left_s = ends - time.monotonic()
        if left_s > 0:
            try:
                relation = await self.between(run_id, run, deadline_s=left_s)
            except SearchUnavailable as error:
                log.info("relation_not_counted", brand=name, error=str(error))
            else:
                return NearBrand(name, similarity, relation.shared.count, relation.lookalikes)
        return NearBrand(name, similarity, None, None)

    async def _relate(self, first: UUID, second: UUID, deadline_s: float) -> Relation:
        ends = time.monotonic() + deadline_s
        centres = await self._centres_of([first, second], ends)
        shared = await self._search.shared(
            first, second, limit=PAIRS_MAX, deadline_s=max(ends - time.monotonic(), 0.001)
        )
        model, similarity, compared = compare_centres(
            centres.get(first, []), centres.get(second, [])
        )
        pairs: list[tuple[bytes, bytes, float]] = []
        if model is not None:
            samples = [await self._search.sample(run, limit=SAMPLE) for run in (first, second)]
            pairs = await asyncio.to_thread(find_lookalikes, samples[0], samples[1], model)
        return Relation(model, similarity, compared, shared, len(pairs), pairs[:PAIRS_MAX])

    async def _centres_of(
        self, runs: Sequence[UUID], ends: float
    ) -> Mapping[UUID, Sequence[Centre]]:
        """Return the centres of snapshots; without those that could not be read in time."""
        missing = [run for run in dict.fromkeys(runs) if run not in self._centres]
        for start in range(0, len(missing), CENTRES_BATCH):
            if start and time.monotonic() > ends:
                log.info("centres_not_read", left=len(missing) - start)
                break
            batch = missing[start : start + CENTRES_BATCH]
            found = await self._search.centres(batch, limit=SAMPLE)
            for run in batch:
                _keep(self._centres, run, found.get(run, ()), KEPT_CENTRES)
        return {run: self._centres[run] for run in runs if run in self._centres}


def compare_centres(
    one: Sequence[Centre], other: Sequence[Centre]
) -> tuple[str | None, float | None, tuple[int, int]]:
    """Return the model that embedded most of both, the cosine of the centres, and the counts."""
    here, there = ({(c.model, c.vector.size): c for c in centres} for centres in (one, other))
    common = max(
        here.keys() & there.keys(),
        key=lambda space: (min(here[space].count, there[space].count), space),
        default=None,
    )
    if common is None:
        return None, None, (0, 0)
    ours, theirs = here[common], there[common]
    length = float(np.linalg.norm(ours.vector) * np.linalg.norm(theirs.vector))
    cosine = float(ours.vector @ theirs.vector) / length if length else None
    similarity = None if cosine is None else max(-1.0, min(1.0, cosine))
    return common[0], similarity, (ours.count, theirs.count)


def find_lookalikes(one: Sample, other: Sample, model: str) -> list[tuple[bytes, bytes, float]]:
    """Return the keys and cosines of look-alikes, the most alike first."""
    common = set(one.sha256) & set(other.sha256)
    here, there = _rows_of(one, model, common), _rows_of(other, model, common)
    if not here or not there:
        return []
    ours, theirs = _vectors(one, here), _vectors(other, there)
    if ours.shape[1] != theirs.shape[1]:
        return []
    cosines = np.clip(ours @ theirs.T, -1, 1)
    our_hashes, their_hashes = _hashes(one, here), _hashes(other, there)
    apart = np.bitwise_count(our_hashes[:, None] ^ their_hashes)
    plain = ~_structured(our_hashes)[:, None] | ~_structured(their_hashes)
    alike = (apart <= HAMMING_MAX_BITS) & (cosines >= np.where(plain, PLAIN_COSINE_MIN, COSINE_MIN))
    cosines = np.where(alike, cosines, -2.0)
    nearest, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    at = np.arange(len(here))
    found = np.flatnonzero(alike.any(axis=1) & (back[nearest] == at))
    pairs = [
        (one.keys[here[row]], other.keys[there[nearest[row]]], float(cosines[row, nearest[row]]))
        for row in found.tolist()
    ]
    return sorted(pairs, key=lambda pair: (-pair[2], pair[0]))


def _rows_of(sample: Sample, model: str, without: set[bytes]) -> list[int]:
    """Return the first row of each content of a model that has a hash."""
    first: dict[bytes, int] = {}
    for row, (sha256, name) in enumerate(zip(sample.sha256, sample.models, strict=True)):
        if name == model and sha256 not in without and sample.hashes[row] is not None:
            first.setdefault(sha256, row)
    return list(first.values())


def _vectors(sample: Sample, rows: Sequence[int]) -> Floats:
    return np.stack([sample.vectors[row] for row in rows]).astype(np.float32)


def _hashes(sample: Sample, rows: Sequence[int]) -> npt.NDArray[np.uint64]:
    return np.array([sample.hashes[row] for row in rows], np.int64).view(np.uint64)


def _structured(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
    bits = np.bitwise_count(hashes)
    return np.asarray((bits >= STRUCTURE_BITS[0]) & (bits <= STRUCTURE_BITS[1]))


def _keep(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep an entry, and let go of the oldest one beyond ``most``."""
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]
