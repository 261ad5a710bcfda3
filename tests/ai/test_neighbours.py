"""Neighbours: exact among few, nearly so among many, the same each time, nobody its own."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.snapshots import snapshot_of, unit
from triptych.ai import nearest, neighbours
from triptych.ai.nearest import NOBODY
from triptych.ai.neighbours import Neighbourhood
from triptych.ai.points import Floats, find_components, find_points, reduced


def families(count: int, *, dimensions: int = 24, seed: int = 0) -> Floats:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(count // 50 + 1, dimensions))
    vectors = centres[random.integers(0, len(centres), count)]
    return unit(vectors + random.normal(scale=0.5, size=vectors.shape)).astype(np.float32)


def exact(vectors: Floats, k: int) -> np.ndarray:
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -9)
    return np.argsort(-cosines, axis=1, kind="stable")[:, :k]


def test_among_few_the_answer_is_exact_and_nobody_is_its_own_neighbour() -> None:
    vectors = families(700)
    found = Neighbourhood(vectors).among(9)
    assert (found.indices == exact(vectors, 9)).mean() > 0.999  # Equals may change places.
    own = np.arange(700)[:, None]
    assert not (found.indices == own).any()
    assert (np.diff(found.cosines, axis=1) <= 0).all()
    truth = np.take_along_axis(vectors @ vectors.T, found.indices.astype(np.intp), 1)
    np.testing.assert_allclose(found.cosines, truth, atol=1e-5)


def test_among_many_few_are_missed_and_the_blocks_change_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(neighbours, "CANDIDATES", 800)
    monkeypatch.setattr(neighbours, "CELL_POINTS", 50)
    vectors = families(4_000)
    found = Neighbourhood(vectors).among(10)
    truth = exact(vectors, 10)
    hits = [len(set(a) & set(b)) for a, b in zip(found.indices, truth, strict=True)]
    assert np.mean(hits) / 10 > 0.95
    monkeypatch.setattr(nearest, "BLOCK_ROWS", 37)
    monkeypatch.setattr(nearest, "BLOCK_COLUMNS", 113)
    again = Neighbourhood(vectors).among(10)
    assert (again.indices == found.indices).mean() > 0.999


def test_who_asks_from_outside_may_be_told_of_an_equal() -> None:
    vectors = families(300)
    found = Neighbourhood(vectors).of(vectors[[7, 250]], 2)
    assert found.indices[:, 0].tolist() == [7, 250]
    np.testing.assert_allclose(found.cosines[:, 0], 1, atol=1e-3)  # Half precision.


def test_where_there_are_no_more_there_is_nobody() -> None:
    found = Neighbourhood(families(3)).among(5)
    assert (found.indices[:, 2:] == NOBODY).all()
    assert (found.cosines[:, 2:] == -1).all()
    assert {tuple(sorted(row)) for row in found.indices[:, :2].tolist()} == {(1, 2), (0, 2), (0, 1)}
    assert Neighbourhood(np.empty((0, 4), np.float32)).among(5).indices.shape == (0, 5)


def test_reduced_points_keep_the_angles_of_distinct_embeddings() -> None:
    random = np.random.default_rng(0)
    flat = random.normal(size=(40, 3)) @ random.normal(size=(3, 50))  # Three dimensions in fifty.
    vectors = unit(flat)[[*range(40), 5, 5]]
    snapshot = snapshot_of(vectors, phash=[0] * 42)
    points = find_points(snapshot)
    assert (len(points), points.copies.max(), points.copies.sum()) == (40, 3, 42)
    of_assets = points.of_assets(42)
    assert of_assets[5] == of_assets[40] == of_assets[41]
    small = reduced(snapshot, points, find_components(snapshot, points))
    np.testing.assert_allclose(np.linalg.norm(small, axis=1), 1, atol=1e-3)
    centred = snapshot.embeddings[points.rows].astype(np.float64)
    centred -= centred.mean(axis=0)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    np.testing.assert_allclose(small @ small.T, centred @ centred.T, atol=0.01)
