"""The step `map`: like lies near like, places stay while a brand grows, nothing lies outside."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.manifold import trustworthiness

from tests.support.snapshots import digests, shuffled, snapshot_of, unit
from triptych.ai.context import Context, Earlier, StepResult
from triptych.ai.step import Snapshot
from triptych.ai.steps.map import layout
from triptych.ai.steps.map.map import LAID_OUT_MIN, MAP, find_map

DIMENSION = 32
FAMILIES = 12


def brand(count: int, *, first: int = 0, families: int = FAMILIES) -> Snapshot:
    """Pictures in families, in key order; each is the same whatever the count is."""
    centres = np.random.default_rng(0).normal(size=(families, DIMENSION))
    vectors = np.stack(
        [
            centres[n % families] + 0.4 * np.random.default_rng(n).normal(size=DIMENSION)
            for n in range(first, first + count)
        ]
    )
    keys = [str(n) for n in range(first, first + count)]
    order = np.argsort(digests(keys, 16).view("S16").ravel())
    return snapshot_of(unit(vectors)[order], phash=[0] * count, keys=[keys[row] for row in order])


@cache
def laid_out(count: int) -> tuple[Snapshot, StepResult]:
    """Return such a brand and its first map, which takes half a second."""
    snapshot = brand(count)
    return snapshot, find_map(snapshot)


def places(found: StepResult) -> npt.NDArray[np.float64]:
    return np.array([found.marks["x"], found.marks["y"]], np.float64).T


def after(before: Snapshot, found: StepResult, snapshot: Snapshot) -> Snapshot:
    earlier = Earlier(before.keys, found.marks, {"map": found.result})
    return replace(snapshot, context=Context(earlier=earlier))


def trust(snapshot: Snapshot, found: StepResult) -> float:
    return float(
        trustworthiness(snapshot.embeddings.astype(np.float64), places(found), n_neighbors=10)
    )


def shift(one: Snapshot, its: StepResult, other: Snapshot, others: StepResult) -> float:
    """The median distance between the places of the assets that both have."""
    row_of = {key.tobytes(): row for row, key in enumerate(one.keys)}
    both = [(row_of[k.tobytes()], r) for r, k in enumerate(other.keys) if k.tobytes() in row_of]
    here, there = np.array(both).T
    return float(np.median(np.linalg.norm(places(its)[here] - places(others)[there], axis=1)))


def test_like_lies_near_like_and_nothing_lies_outside() -> None:
    snapshot, found = laid_out(300)
    assert trust(snapshot, found) > 0.9
    assert np.abs(places(found)).max() == 1
    assert found.result["placed"] == found.result["points"] == 300
    assert (places(found) == np.round(places(found), 4)).all()


def test_the_map_is_the_same_each_time_and_in_any_order() -> None:
    snapshot, found = laid_out(120)
    assert (places(find_map(snapshot)) == places(found)).all()
    order = np.random.default_rng(1).permutation(120)
    again = find_map(shuffled(snapshot, order))
    np.testing.assert_allclose(places(again), places(found)[order], atol=0.02)


def test_places_stay_while_a_brand_grows() -> None:
    small, (large, anew) = brand(200), laid_out(300)
    first = find_map(small)
    grown = find_map(after(small, first, large))
    assert grown.result["kept"] == 200
    assert shift(small, first, large, grown) < 0.1
    assert grown.result["moved"] == pytest.approx(shift(small, first, large, grown), abs=1e-3)
    assert shift(small, first, large, anew) > 3 * shift(small, first, large, grown)
    assert trust(large, grown) > trust(large, anew) - 0.02
    again = find_map(after(large, grown, large))
    assert shift(large, grown, large, again) < 0.05


def test_a_brand_that_changed_much_gets_a_new_map_turned_onto_the_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (before, first), now = laid_out(120), brand(300, first=60)
    settled: list[int] = []
    monkeypatch.setattr(layout, "refine", lambda *_: settled.append(1))
    second = find_map(after(before, first, now))
    assert (second.result["kept"], settled) == (60, [])
    assert shift(before, first, now, second) <= shift(before, first, now, find_map(now))
    assert np.abs(places(second)).max() <= 1
    assert trust(now, second) > 0.9


def test_copies_share_a_place_and_what_has_no_embedding_has_none() -> None:
    family = brand(40)
    vectors = np.concatenate([family.embeddings, family.embeddings[:3]])
    snapshot = snapshot_of(
        vectors, phash=[0] * 50, embedded=[n for n in range(50) if n % 8 != 7][:43]
    )
    found = find_map(snapshot)
    where = [(x, y) for x, y in zip(found.marks["x"], found.marks["y"], strict=True)]
    assert where.count((None, None)) == 7
    at = snapshot.embedded
    assert [where[row] for row in at[:3]] == [where[row] for row in at[40:]]
    assert (found.result["placed"], found.result["points"]) == (43, 40)


@pytest.mark.parametrize("count", [0, 1, 2, 3, LAID_OUT_MIN - 1, LAID_OUT_MIN, 20])
def test_few_pictures_have_a_map_too_and_it_can_grow(count: int) -> None:
    none = snapshot_of(unit(np.ones((0, DIMENSION))), phash=[])
    snapshot = brand(count) if count else none
    found = find_map(snapshot)
    assert found.result["placed"] == count
    if count:
        assert np.isfinite(places(found)).all()
        assert np.abs(places(found)).max() <= 1
    more = brand(count + 5)
    grown = find_map(after(snapshot, found, more))
    assert np.abs(places(grown)).max() <= 1
    assert grown.result["kept"] == count
    assert MAP.run is find_map
