"""The schedule: a pure function of its seed, and the seeds of `make prove` have all of it."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest

from tests.support.chaos.brands import Fault, Way, make_brands
from tests.support.chaos.poison import Poison
from tests.support.chaos.schedule import (
    CHAOS_S,
    FIRST_S,
    OFTEN,
    OUTAGES,
    RARELY,
    SECONDS,
    Kind,
    ShapeName,
    make_schedule,
)
from tests.support.chaos.seeds import PROVED, seeds
from triptych.messages import QUEUES, dead_letter_queue

SEEDS = range(1, 40)
shapes = pytest.mark.parametrize("shape", ShapeName)


@shapes
def test_a_seed_has_one_schedule(shape: ShapeName) -> None:
    for seed in SEEDS:
        assert make_schedule(seed, shape) == make_schedule(seed, shape)
        assert make_brands(seed) == make_brands(seed)
    assert len({str(make_schedule(seed, shape)) for seed in SEEDS}) == len(SEEDS)


@pytest.mark.integration
def test_another_process_has_the_same_schedule() -> None:
    program = (
        "from tests.support.chaos.schedule import *; print(make_schedule(7, ShapeName.EMBEDDED))"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == str(make_schedule(7, ShapeName.EMBEDDED)).strip()


@shapes
def test_the_seeds_of_prove_have_every_kind_of_action_and_of_poison(shape: ShapeName) -> None:
    actions = [each for seed in PROVED[shape] for each in make_schedule(seed, shape).actions]
    kinds = {action.kind for action in actions}
    assert kinds == {*OFTEN[shape], *RARELY[shape], Kind.POISON}
    aws = shape is ShapeName.AWS
    assert {action.poison for action in actions} - {None} == {
        poison for poison in Poison if poison.fits(aws=aws)
    }
    poisoned = {action.queue for action in actions if action.kind is Kind.POISON}
    assert poisoned == {*QUEUES, *map(dead_letter_queue, QUEUES)}


def test_every_kind_belongs_to_a_shape() -> None:
    for table in (OFTEN, RARELY):
        assert table.keys() == set(ShapeName)
    known = {kind for shape in ShapeName for kind in (*OFTEN[shape], *RARELY[shape])}
    assert known | {Kind.POISON} == set(Kind)


@shapes
def test_actions_are_in_time_and_long_outages_one_after_another(shape: ShapeName) -> None:
    for seed in SEEDS:
        actions = make_schedule(seed, shape).actions
        assert all(FIRST_S <= action.at_s <= CHAOS_S for action in actions)
        assert all(one.at_s <= other.at_s for one, other in pairwise(actions))
        rare = [action for action in actions if action.kind in RARELY[shape]]
        assert len(rare) == len({action.kind for action in rare}) == OUTAGES
        for one, other in pairwise(rare):
            most = min(SECONDS.get(one.kind, (0, 0))[1], 8.0)
            assert other.at_s > one.at_s + most


def test_the_brands_come_in_every_way_and_hosts_fail_in_every_way() -> None:
    for seed in SEEDS:
        brands = make_brands(seed)
        assert {brand.way for brand in brands} == set(Way)
        assert len({brand.name for brand in brands}) == len(brands)
        faults = {
            brand.fault(number, revision)
            for brand in brands
            for revision in range(brand.revisions)
            for number in brand.numbers(revision)
        }
        assert faults == {None, *Fault}


def test_a_revision_has_new_changed_kept_and_missing_items() -> None:
    brand = next(each for each in make_brands(1) if each.way is Way.API)
    first, second = brand.numbers(0), brand.numbers(1)
    both = set(first) & set(second)
    assert set(second) - both
    assert set(first) - both
    hashes = {number: (brand.expected(number, 0), brand.expected(number, 1)) for number in both}
    assert {one == other for one, other in hashes.values()} == {True, False}
    assert any(one is None for one, _ in hashes.values())


def test_the_environment_names_other_seeds() -> None:
    assert seeds(ShapeName.AWS, {}) == PROVED[ShapeName.AWS]
    assert seeds(ShapeName.AWS, {"TRIPTYCH_CHAOS_SEED": "7"}) == [7]
    assert seeds(ShapeName.EMBEDDED, {"TRIPTYCH_CHAOS_SEED": "7,9-11"}) == [7, 9, 10, 11]
    with pytest.raises(ValueError, match="invalid literal"):
        seeds(ShapeName.EMBEDDED, {"TRIPTYCH_CHAOS_SEED": "all"})
