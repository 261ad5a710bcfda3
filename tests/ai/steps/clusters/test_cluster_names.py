"""Clusters keep their names while a brand grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tests.support.snapshots import digests, snapshot_of, unit
from triptych.ai.context import Context, Earlier, StepResult
from triptych.ai.step import Snapshot
from triptych.ai.steps.clusters.clusters import find_clusters

DIMENSION = 32


def grown(
    sizes: Sequence[int], *, first: Sequence[int] = (), seed: int = 0, near: float = 0.02
) -> Snapshot:
    """Families of these sizes; each picture is the same whatever the sizes are."""
    centres = np.random.default_rng(seed).normal(size=(len(sizes), DIMENSION))
    keys, vectors = [], []
    for family, size in enumerate(sizes):
        for number in range(first[family] if first else 0, size):
            random = np.random.default_rng([seed, family, number])
            vectors.append(centres[family] + random.normal(scale=near * 5, size=DIMENSION))
            keys.append(f"{family}/{number}")
    order = np.argsort(digests(keys, 16).view("S16").ravel())
    snapshot = snapshot_of(
        unit(np.stack(vectors))[order], phash=[0] * len(keys), keys=[keys[row] for row in order]
    )
    return replace(snapshot, urls=[f"https://x/{keys[row]}" for row in order])


def after(earlier: Snapshot, found: StepResult, snapshot: Snapshot) -> Snapshot:
    known = Earlier(earlier.keys, found.marks, {"clusters": found.result})
    return replace(snapshot, context=Context(earlier=known))


def by_family(snapshot: Snapshot, found: StepResult) -> dict[str, set[Any]]:
    names: dict[str, set[Any]] = {}
    for url, name in zip(snapshot.urls, found.marks["cluster"], strict=True):
        if name is not None:
            names.setdefault(url.split("/")[-2], set()).add(name)
    return names


def test_clusters_keep_their_names_while_the_brand_grows() -> None:
    small = grown([30, 40, 50])
    first = find_clusters(small)
    names = by_family(small, first)
    assert all(len(found) == 1 for found in names.values())
    assert len(set.union(*names.values())) == 3
    large = grown([90, 60, 50, 70])
    second = find_clusters(after(small, first, large))
    later = by_family(large, second)
    assert {family: later[family] for family in names} == names
    assert not later["3"] & set.union(*names.values())
    assert second.result["kept"] == 3


def test_a_cluster_that_is_gone_lends_its_name_to_nobody() -> None:
    before = grown([30, 40])
    first = find_clusters(before)
    now = grown([0, 40, 45])
    second = find_clusters(after(before, first, now))
    assert by_family(now, second)["1"] == by_family(before, first)["1"]
    assert not by_family(now, second)["2"] & by_family(before, first)["0"]


def test_when_clusters_merge_or_split_the_larger_keeps_the_name() -> None:
    snapshot = grown([30, 60])
    split = np.array([int(url.split("/")[-2]) for url in snapshot.urls])
    part = np.array([int(url.split("/")[-1]) < 40 for url in snapshot.urls])
    marks = np.where(split == 0, "a", np.where(part, "large", "small")).tolist()
    earlier = Earlier(snapshot.keys, {"cluster": marks}, {"clusters": {}})
    joined = find_clusters(replace(snapshot, context=Context(earlier=earlier)))
    assert by_family(snapshot, joined) == {"0": {"a"}, "1": {"large"}}
    everything = Earlier(snapshot.keys, {"cluster": ["all"] * len(marks)}, {"clusters": {}})
    parted = by_family(
        snapshot, find_clusters(replace(snapshot, context=Context(earlier=everything)))
    )
    assert parted["1"] == {"all"}
    assert len(parted["0"] - {"all"}) == 1


def test_names_differ_though_keys_begin_alike() -> None:
    snapshot = grown([30, 40, 50])
    keys = np.zeros((120, 16), np.uint8)
    keys[:, 15] = np.arange(120)
    found = find_clusters(replace(snapshot, keys=keys))
    assert len({cluster["id"] for cluster in found.result["clusters"]}) == 3
