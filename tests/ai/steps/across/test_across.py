"""The step `across`: a brand is described by cells that keep its mean."""

from __future__ import annotations

from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.snapshots import snapshot_of, unit
from triptych.ai.context import OtherBrand, StepResult
from triptych.ai.other_brands import space_of
from triptych.ai.step import Snapshot
from triptych.ai.steps.across.across import ACROSS, find_across

DIMENSION = 32
AXES = np.random.default_rng(9).normal(size=(40, DIMENSION))


def hashes(count: int, seed: int) -> npt.NDArray[np.int64]:
    """Hashes with 32 of 64 bits set, far from each other."""
    random = np.random.default_rng(seed)
    bits = np.array([random.permutation(np.repeat([0, 1], 32)) for _ in range(count)], np.uint8)
    return np.packbits(bits, axis=1).view(">i8").astype(np.int64).ravel()


def brand(axis: int, count: int = 60) -> Snapshot:
    random = np.random.default_rng(axis)
    vectors = AXES[axis] + 0.6 * random.normal(size=(count, DIMENSION))
    return snapshot_of(
        unit(vectors),
        phash=hashes(count, axis),
        contents=[f"{axis}/{number}" for number in range(count)],
        keys=[f"{axis}/{number}" for number in range(count)],
    )


def described(name: str, found: StepResult) -> OtherBrand:
    assert found.vectors is not None
    cells = found.result["cells"]
    return OtherBrand(
        name,
        uuid4(),
        found.vectors.vectors.astype(np.float32),
        np.array([cell["length"] for cell in cells]),
        np.array([float(cell["size"]) for cell in cells]),
    )


def test_a_brand_is_described_by_cells_that_keep_its_mean() -> None:
    snapshot = brand(0, 100)
    found = find_across(snapshot)
    other = described("b", found)
    mean = snapshot.embeddings.astype(np.float64).mean(axis=0)
    np.testing.assert_allclose(other.mean, mean, atol=2e-3)
    assert other.sizes.sum() == 100
    assert found.vectors is not None
    assert found.vectors.model == space_of("m")
    assert (np.diff(found.vectors.rows) > 0).all()
    keys = [snapshot.key(row) for row in found.vectors.rows.tolist()]
    assert keys == [cell["key"] for cell in found.result["cells"]]
    assert find_across(snapshot).result == found.result


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_pictures_are_described_too(count: int) -> None:
    snapshot = brand(0, count) if count else snapshot_of(unit(np.ones((0, 4))), phash=[])
    found = find_across(snapshot)
    assert len(found.result["cells"]) == min(count, 1)
    assert ACROSS.run is find_across
