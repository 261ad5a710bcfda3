"""The step `across`: near brands are found by their cells, look-alikes only among the near ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import msgspec
import numpy as np
import numpy.typing as npt
import pytest

from tests.support.snapshots import asset, snapshot_of, unit
from triptych.ai.context import Context, OtherBrand, StepResult
from triptych.ai.other_brands import space_of
from triptych.ai.step import Snapshot
from triptych.ai.steps.across import across
from triptych.ai.steps.across.across import ACROSS, find_across
from triptych.model import Asset

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


def as_assets(snapshot: Snapshot) -> list[Asset]:
    first = asset(snapshot.run_id, 1)
    return [
        msgspec.structs.replace(
            first,
            key=snapshot.keys[row].tobytes(),
            url=f"https://other/{row}",
            sha256=snapshot.sha256[row].tobytes(),
            phash=int(snapshot.phash[row]),
            embedding=snapshot.embeddings[row].astype(np.float32),
            model=snapshot.model,
        )
        for row in range(len(snapshot))
    ]


class FakeBrands:
    """Other brands, and which of them were looked at."""

    def __init__(self, snapshots: dict[str, Snapshot]) -> None:
        self._snapshots = snapshots
        self.looked: dict[str, int] = {}

    def brands(self) -> Iterator[OtherBrand]:
        for name, snapshot in self._snapshots.items():
            yield described(name, find_across(snapshot))

    def assets(self, brand: OtherBrand, limit: int) -> Iterable[Sequence[Asset]]:
        found = as_assets(self._snapshots[brand.brand])[:limit]
        for start in range(0, len(found), 25):
            self.looked[brand.brand] = start + 25
            yield found[start : start + 25]


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


def seen(snapshot: Snapshot, others: FakeBrands) -> dict[str, Any]:
    return dict(find_across(replace(snapshot, context=Context(others=others))).result)


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


def test_the_nearest_brands_come_first_and_only_they_are_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(across, "LOOKED_MAX", 2)
    monkeypatch.setattr(across, "NEAREST_MAX", 3)
    own = brand(0)
    like = brand(1)
    others = FakeBrands(
        {
            **{f"far{number}": brand(number) for number in range(2, 12)},
            "sister": replace(own, embeddings=brand(0, 80).embeddings[20:]),
            "half": replace(
                like, embeddings=np.concatenate([own.embeddings[:30], like.embeddings[:30]])
            ),
        }
    )
    found = seen(own, others)
    assert [entry["brand"] for entry in found["nearest"]][:2] == ["sister", "half"]
    assert found["nearest"][0]["similarity"] > found["nearest"][1]["similarity"] + 0.1
    assert (found["brands"], len(found["nearest"])) == (12, 3)
    assert others.looked == {"sister": 75, "half": 75}
    assert found["nearest"][2]["compared"] is None


def test_lookalikes_agree_in_bytes_or_in_embedding_and_hash() -> None:
    own = brand(0)
    sister = brand(0, 90)
    noise = np.random.default_rng(5).normal(scale=0.005, size=sister.embeddings.shape)
    sister = replace(
        sister,
        embeddings=unit(sister.embeddings.astype(np.float64) + noise),
        keys=brand(5, 90).keys,
        sha256=np.concatenate([own.sha256[:10], brand(6, 80).sha256]),
        # 10..19 are edited copies; 20..29 have the embedding of ours and another picture's hash.
        phash=np.concatenate([own.phash[:10], own.phash[10:20] ^ 0b101, hashes(70, 7)]),
    )
    found = seen(own, FakeBrands({"sister": sister}))
    by_kind = {
        kind: {(e["key"], e["url"]) for e in found["lookalikes"] if e["kind"] == kind}
        for kind in ("exact", "near")
    }
    pairs = [(own.key(row), f"https://other/{row}") for row in range(20)]
    assert by_kind == {"exact": set(pairs[:10]), "near": set(pairs[10:])}
    assert found["lookalike_count"] == 20
    assert found["nearest"][0] == {
        "brand": "sister",
        "lookalikes": 20,
        "compared": 90,
        "similarity": found["nearest"][0]["similarity"],
    }
    cosines = [entry["cosine"] for entry in found["lookalikes"]]
    assert cosines == sorted(cosines, reverse=True)


def test_what_has_nothing_to_hash_proves_nothing() -> None:
    own = replace(brand(0), phash=np.zeros(60, np.int64))
    other = replace(own, sha256=brand(3).sha256)
    assert seen(own, FakeBrands({"other": other}))["lookalikes"] == []


def test_brands_of_another_dimension_are_passed_over() -> None:
    class Wider(FakeBrands):
        def brands(self) -> Iterator[OtherBrand]:
            wide = np.ones((1, DIMENSION + 1), np.float32)
            yield OtherBrand("wide", UUID(int=1), wide, np.ones(1), np.ones(1))

    assert seen(brand(0), Wider({}))["brands"] == 0


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_pictures_are_described_too(count: int) -> None:
    snapshot = brand(0, count) if count else snapshot_of(unit(np.ones((0, 4))), phash=[])
    found = find_across(snapshot)
    assert len(found.result["cells"]) == min(count, 1)
    assert ACROSS.run is find_across
