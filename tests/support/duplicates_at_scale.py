"""Duplicates of a large made brand: ``python -m … COUNT`` prints what was found and the peak.

A process of its own, so that its peak is the step's. Every hundredth asset is a copy of the one
before it: near in both fingerprints, and the same to look at.
"""

from __future__ import annotations

import json
import sys

import numpy as np
import numpy.typing as npt

from tests.support.brand_at_scale import peak_mb
from tests.support.snapshots import snapshot_of
from triptych.ai.context import Context
from triptych.ai.steps.duplicates.duplicates import find_duplicates

DIMENSION = 1280
EVERY = 100
BATCH = 4_096
CELLS = 12
CHANGED = 0b111


def embeddings(count: int) -> npt.NDArray[np.float16]:
    """Unit vectors in many directions, fifty of which more of them share; copies nearly equal."""
    random = np.random.default_rng(0)
    shared = random.standard_normal((50, DIMENSION), np.float32)
    made = np.empty((count, DIMENSION), np.float16)
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        block = random.standard_normal((size, DIMENSION), np.float32)
        block += 0.6 * shared[random.integers(0, len(shared), size)]
        made[start : start + size] = block / np.linalg.norm(block, axis=1, keepdims=True)
    made[EVERY - 1 :: EVERY] = made[EVERY - 2 :: EVERY]
    return made


def look(row: int, side: int) -> npt.NDArray[np.uint8]:
    """Return coloured squares; a copy's are its original's, brighter."""
    copy = row % EVERY == EVERY - 1
    random = np.random.default_rng(row - copy)
    squares = random.integers(0, 200, (CELLS, CELLS, 3), np.uint8) + np.uint8(20 * copy)
    return np.kron(squares, np.ones((side // CELLS, side // CELLS, 1), np.uint8))


def main(count: int) -> None:
    hashes = np.random.default_rng(1).integers(-(2**63), 2**63 - 1, count)
    hashes[EVERY - 1 :: EVERY] = hashes[EVERY - 2 :: EVERY] ^ CHANGED
    snapshot = snapshot_of(embeddings(count), phash=hashes, context=Context(pixels=look))
    result = find_duplicates(snapshot).result
    found = {frozenset(group["members"]) for group in result["groups"]}
    planted = {
        frozenset((snapshot.key(row - 1), snapshot.key(row)))
        for row in range(EVERY - 1, count, EVERY)
    }
    told = {name: value for name, value in result.items() if name != "groups"}
    told["missed"] = len(planted - found)
    told["made_up"] = len(found - planted)
    told["peak_mb"] = round(peak_mb())
    print(json.dumps(told))


if __name__ == "__main__":
    main(int(sys.argv[1]))
