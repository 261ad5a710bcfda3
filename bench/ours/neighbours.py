"""Near-duplicates and clusters of many embeddings, as our steps find them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np

from bench.track import Track
from triptych.ai.step import Snapshot
from triptych.ai.steps.clusters.clusters import find_clusters
from triptych.ai.steps.duplicates.candidates import find_candidates


def snapshot(vectors: np.ndarray) -> Snapshot:
    """Return a snapshot that has these embeddings, and nothing else to tell its assets by."""
    count = len(vectors)
    random = np.random.default_rng(0)
    numbers = np.zeros(count, np.int64)
    return Snapshot(
        brand="bench",
        run_id=UUID(int=1),
        keys=random.integers(0, 256, (count, 16), np.uint8),
        urls=[""] * count,
        sha256=random.integers(0, 256, (count, 32), np.uint8),
        phash=numbers,
        widths=numbers + 800,
        heights=numbers + 600,
        size_bytes=numbers + 1,
        model="m",
        embeddings=vectors,
        embedded=np.arange(count),
        sampled=False,
        media_types=["image/jpeg"] * count,
        colours=[()] * count,
    )


def pairs(vectors: np.ndarray) -> np.ndarray:
    """Return the pairs that may be near-duplicates."""
    count = len(vectors)
    nothing = np.zeros(count, np.uint64)
    every = np.arange(count)
    found = find_candidates(vectors, every, nothing, np.zeros(count, bool), lambda _: None)
    return found.pairs


def labels(vectors: np.ndarray) -> np.ndarray:
    """Return the cluster of each; -1 for noise."""
    found = find_clusters(snapshot(vectors))
    marks = found.marks["cluster"]
    numbers: dict[Any, int] = {None: -1}
    return np.array([numbers.setdefault(mark, len(numbers) - 1) for mark in marks])


WORKS: dict[str, Callable[[np.ndarray], np.ndarray]] = {"pairs": pairs, "labels": labels}


def main() -> None:
    track = Track()
    vectors = np.load(track.arguments["vectors"])
    work = WORKS[track.arguments["what"]]
    work(vectors[:500])
    track.say()
    while track.order() is not None:
        found = work(vectors)
        out = Path(track.arguments["out"])
        np.save(out, found)
        track.say()


if __name__ == "__main__":
    main()
