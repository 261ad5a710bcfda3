"""The step `clusters`: planted families are found, noise stays noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics import adjusted_rand_score

from tests.support.snapshots import shuffled, snapshot_of, unit
from triptych.ai.step import Snapshot
from triptych.ai.steps.clusters import clusters
from triptych.ai.steps.clusters.clusters import CLUSTERS, NOISE

DIMENSION = 64


def find_clusters(snapshot: Snapshot) -> dict[str, Any]:
    return dict(clusters.find_clusters(snapshot).result)


def planted(
    families: int, each: int, *, strays: int = 0, spread: float = 0.02, seed: int = 0
) -> tuple[Snapshot, npt.NDArray[np.intp]]:
    """Gaussian families around random centres, and strays far from all, in mixed order."""
    random = np.random.default_rng(seed)
    centres = unit(random.normal(size=(families + strays, DIMENSION))).astype(np.float64)
    truth = np.repeat(np.arange(families), each)
    vectors = centres[truth] + random.normal(scale=spread, size=(truth.size, DIMENSION))
    vectors = np.concatenate([vectors, centres[families:]])
    truth = np.concatenate([truth, np.full(strays, NOISE)])
    mixed = random.permutation(truth.size)
    count = truth.size
    return snapshot_of(unit(vectors[mixed]), phash=np.zeros(count, np.int64)), truth[mixed]


def labels(snapshot: Snapshot, result: dict[str, Any]) -> npt.NDArray[np.intp]:
    label_of = {key: n for n, one in enumerate(result["clusters"]) for key in one["members"]}
    return np.array([label_of.get(snapshot.key(row), NOISE) for row in range(len(snapshot))])


def test_planted_families_are_recovered_and_strays_are_noise() -> None:
    snapshot, truth = planted(8, 40, strays=30)
    result = find_clusters(snapshot)
    found = labels(snapshot, result)
    assert result["cluster_count"] == len(result["clusters"]) == 8
    assert adjusted_rand_score(truth[truth != NOISE], found[truth != NOISE]) > 0.95
    assert (found[truth == NOISE] == NOISE).all()
    assert result["noise"] == (found == NOISE).sum()
    assert result["clustered"] + result["noise"] == len(snapshot)


def test_the_result_is_the_same_each_time_and_in_any_order() -> None:
    snapshot, _ = planted(5, 30, strays=10)
    result = find_clusters(snapshot)
    assert find_clusters(snapshot) == result
    order = np.random.default_rng(1).permutation(len(snapshot))
    assert find_clusters(shuffled(snapshot, order)) == result


def test_representatives_lie_nearest_the_centre() -> None:
    snapshot, truth = planted(2, 50, spread=0.03)
    row_of = {snapshot.key(row): row for row in range(len(snapshot))}
    for cluster in find_clusters(snapshot)["clusters"]:
        rows = [row_of[key] for key in cluster["members"]]
        assert len(set(truth[rows])) == 1
        vectors = snapshot.embeddings[rows].astype(np.float64)
        distances = np.linalg.norm(vectors - vectors.mean(axis=0), axis=1)
        shown = [rows.index(row_of[key]) for key in cluster["representatives"]]
        assert len(shown) == clusters.REPRESENTATIVES
        # By all dimensions, where the step goes by the principal ones: nearer than most.
        assert distances[shown].max() < np.median(distances)


def test_copies_count_once_and_stay_together() -> None:
    family, _ = planted(2, 30)
    vectors = np.concatenate([family.embeddings] + [family.embeddings[:1]] * 200)
    snapshot = snapshot_of(vectors, phash=np.zeros(len(vectors), np.int64))
    result = find_clusters(snapshot)
    assert [cluster["size"] for cluster in result["clusters"]] == [230, 30]
    row_of = {snapshot.key(row): row for row in range(len(snapshot))}
    shown = [row_of[key] for key in result["clusters"][0]["representatives"]]
    assert len({snapshot.embeddings[row].tobytes() for row in shown}) == len(shown)


def test_copies_alone_make_a_cluster_when_they_are_as_many_as_the_smallest() -> None:
    random = np.random.default_rng(0)
    three, two = unit(random.normal(size=(2, DIMENSION)))
    snapshot = snapshot_of(np.stack([three, two, three, two, three]), phash=[0] * 5)
    result = find_clusters(snapshot)
    assert [cluster["size"] for cluster in result["clusters"]] == [3]
    assert result["noise"] == 2


@pytest.mark.parametrize("count", range(8))
def test_few_pictures_have_no_clusters(count: int) -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(count, DIMENSION)))
    result = find_clusters(snapshot_of(vectors, phash=[0] * count))
    assert result["clusters"] == []
    assert result["noise"] == count


def test_assets_without_an_embedding_take_no_part() -> None:
    family, _ = planted(2, 20)
    snapshot = snapshot_of(
        family.embeddings, phash=[0] * 50, embedded=[row for row in range(50) if row % 5]
    )
    result = find_clusters(snapshot)
    assert result["clustered"] + result["noise"] == 40
    without = {snapshot.key(row) for row in range(0, 50, 5)}
    assert not without & {key for one in result["clusters"] for key in one["members"]}


def test_long_results_are_cut_and_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "MEMBERS_MAX", 10)
    snapshot, _ = planted(2, 30)
    result = find_clusters(snapshot)
    assert [(c["size"], len(c["members"])) for c in result["clusters"]] == [(30, 10)] * 2
    assert result["truncated"]
    assert CLUSTERS.run is clusters.find_clusters
