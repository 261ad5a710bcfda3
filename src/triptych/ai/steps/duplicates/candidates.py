"""Pairs that may be one picture: nearest by embedding, and near by perceptual hash.

All pairs are compared block by block, by matrix products and bit counts, and only the nearest few
of each content are kept: 100,000 contents take a minute of one core and some 230 MB.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.ai.nearest import NOBODY, Closeness, find_nearest
from triptych.ai.points import Floats, Indices

HAMMING_MAX_BITS = 10
"""The most of 64 bits in which the perceptual hashes of candidates differ."""
COSINE_MIN = 0.5
"""Least cosine of candidates whose hashes are not near. Over ten edits of photographs, 1 in 500 is
farther than this from its original."""
NEAREST = 16
"""The most candidates of a content by embedding, and as many by hash."""
DIMENSIONS = 256
"""Embeddings of higher dimension are first reduced to this many principal components; the kept
pairs are measured in full dimension."""
FIT_MAX = 10_000
REDUCED_FROM = 5_000
"""Least number of contents for that reduction: finding the components takes some seconds."""
GATHERED = 4_096

Hashes = npt.NDArray[np.uint64]
NOTHING = np.zeros((0, 2), np.intp)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Pairs of contents, likeliest first."""

    pairs: Indices
    """(n, 2), the first below the second."""
    cosines: Floats
    """Cosines of their embeddings; NaN where one has none."""
    bits: npt.NDArray[np.uint8]
    """Number of bits in which their hashes differ; 64 where a hash proves nothing."""


def find_candidates(
    embeddings: npt.NDArray[np.float16],
    vector_of: Indices,
    hashes: Hashes,
    structured: npt.NDArray[np.bool_],
    progress: Callable[[float], None],
) -> Candidates:
    """Return the pairs of contents that may be one picture.

    Args:
        embeddings: unit vectors.
        vector_of: the row of each content's embedding, or -1.
        hashes: the perceptual hash of each content.
        structured: which hashes carry information.
        progress: is called with the share that is done, 0..1.
    """
    embedded = np.flatnonzero(vector_of >= 0)
    by_vector = _near_vectors(embeddings, vector_of[embedded], lambda done: progress(0.8 * done))
    by_hash = _near_hashes(hashes[structured], lambda done: progress(0.8 + 0.2 * done))
    pairs = np.concatenate([embedded[by_vector], np.flatnonzero(structured)[by_hash]])
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    bits = np.bitwise_count(hashes[pairs[:, 0]] ^ hashes[pairs[:, 1]])
    bits[~structured[pairs].all(axis=1)] = 64
    cosines = _cosines(embeddings, vector_of[pairs])
    # Rank hash distances like cosines: 10 bits count as 0.75, none as 1.
    likely = np.fmax(cosines, np.where(bits <= HAMMING_MAX_BITS, 1 - bits / 40, -1))
    order = np.lexsort((pairs[:, 1], pairs[:, 0], -likely))
    return Candidates(pairs[order], cosines[order], bits[order])


def _near_vectors(
    embeddings: npt.NDArray[np.float16], rows: Indices, progress: Callable[[float], None]
) -> Indices:
    if rows.size < 2:
        return NOTHING
    reduced = _reduced(embeddings, rows)

    def cosines(these: slice, those: slice) -> Floats:
        product: Floats = reduced[these] @ reduced[those].T
        return product

    return _pairs(cosines, rows.size, COSINE_MIN, progress)


def _reduced(embeddings: npt.NDArray[np.float16], rows: Indices) -> Floats:
    """Return unit embeddings, reduced to their principal components if there are many."""
    if rows.size < REDUCED_FROM:
        return embeddings[rows].astype(np.float32)
    sample = embeddings[rows[:: max(1, rows.size // FIT_MAX)]].astype(np.float32)
    _, directions = np.linalg.eigh(sample.T @ sample)
    kept = directions[:, -DIMENSIONS:]
    reduced = np.empty((rows.size, kept.shape[1]), np.float32)
    for start in range(0, rows.size, GATHERED):
        block = embeddings[rows[start : start + GATHERED]].astype(np.float32) @ kept
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        reduced[start : start + GATHERED] = block / np.maximum(lengths, 1e-6)
    return reduced


def _near_hashes(hashes: Hashes, progress: Callable[[float], None]) -> Indices:
    def closeness(these: slice, those: slice) -> Floats:
        apart = np.bitwise_count(hashes[these][:, None] ^ hashes[those][None, :])
        near: Floats = np.subtract(64, apart, dtype=np.float32)
        return near

    return _pairs(closeness, hashes.size, 64 - HAMMING_MAX_BITS, progress)


def _pairs(
    closeness: Closeness, count: int, least: float, progress: Callable[[float], None]
) -> Indices:
    """Return pairs of each content and its `NEAREST` that are at least this close."""
    every = np.arange(count)
    found = find_nearest(
        closeness, count, count, NEAREST, least=least, own=every, progress=progress
    )
    rows, ranks = np.nonzero(found.indices != NOBODY)
    return np.stack([rows, found.indices[rows, ranks]], axis=1)


def _cosines(embeddings: npt.NDArray[np.float16], pairs: Indices) -> Floats:
    """Return the cosine of each pair of embeddings; NaN where one is missing."""
    cosines = np.full(len(pairs), np.nan, np.float32)
    both = np.flatnonzero((pairs >= 0).all(axis=1))
    for start in range(0, both.size, GATHERED):
        at = both[start : start + GATHERED]
        first = embeddings[pairs[at, 0]].astype(np.float32)
        second = embeddings[pairs[at, 1]].astype(np.float32)
        cosines[at] = np.einsum("ij,ij->i", first, second)
    return cosines
