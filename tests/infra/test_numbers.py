"""Numbers of the template that have to agree with those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from infra.profiles import PROFILES, Profile
from infra.sizes import SHAPES, SIZES, TASK_WINDOW

from triptych.database.migrate import LOCK_PAUSE_MAX_S, LOCK_TRIES, LOCK_WAIT_S
from triptych.gather.lists.list_parsers import MEMORY_MAX_BYTES
from triptych.reads.mongo.connection import POOL_MAX
from triptych.runtime.asgi_server import KEEP_ALIVE_S
from triptych.sealing.key_ring import KEY_MIN_CHARS
from triptych.settings.settings import Settings
from triptych.workers.projector import BRANDS_AT_ONCE

IN_FLIGHT_MAX = 120_000
"""Messages that a standard queue of SQS hands out at a time (Amazon SQS quotas)."""
GATHERING_MIB = 512
"""What a process that gathers takes itself: 60 to 70 MiB were measured, besides its libraries."""
DOCUMENTDB_CONNECTIONS = {"t4g.medium": 500, "r6g.large": 1_700}
"""That an instance of DocumentDB takes (Amazon DocumentDB quotas, instance limits)."""
WATCHING = 2
"""Connections by which a client of MongoDB watches one server, besides those of its pool."""
SWEEPING = 2
"""Functions that sweep at a time: one may begin before the one before it has ended."""
TASKS = {size.phase: size for size in SIZES}
INFRA = Path(__file__).resolve().parents[2] / "infra"


def number(file: str, pattern: str) -> int:
    found = re.search(pattern, (INFRA / file).read_text(), re.MULTILINE)
    assert found is not None, pattern
    return int(found[1].replace("_", ""))


def test_servers_keep_connections_for_longer_than_the_balancer() -> None:
    assert number("edge.py", r"^IDLE_S = (\d+)$") < KEEP_ALIVE_S


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_documentdb_takes_the_connections_of_all_that_uses_it(profile: Profile) -> None:
    # Live status has none. A release of the API runs its new tasks beside the old ones, and each
    # may read as much as its pool allows. Workers copy a few brands at a time, and list them.
    watching = WATCHING * profile.documentdb_instances
    reading = 2 * profile.tasks["api"][1] * (POOL_MAX + watching)
    workers = SWEEPING + sum(profile.tasks[phase][1] for phase in TASKS)
    copying = workers * (BRANDS_AT_ONCE + 1 + watching)
    assert reading + copying < DOCUMENTDB_CONNECTIONS[profile.documentdb_class]


def test_the_scaling_target_is_between_what_a_worker_holds_and_a_brands_window() -> None:
    prefetch = Settings.model_fields["acquire_prefetch"].default
    target = TASKS["acquire"].backlog
    # Another task comes only when the first has its hands full, and it comes for one brand alone.
    assert prefetch < target < Settings.model_fields["dispatch_window"].default
    assert 2 * target < TASK_WINDOW


def test_the_most_that_a_brand_may_have_outstanding_keeps_every_task_busy() -> None:
    tasks = [profile.tasks["acquire"][1] for profile in PROFILES.values()]
    most = Settings.model_fields["dispatch_window_max"].default
    assert all(TASK_WINDOW * count <= most for count in tasks)
    assert most < IN_FLIGHT_MAX


def test_gather_has_room_for_a_list_parser_beside_its_own_process() -> None:
    wanted_mib = MEMORY_MAX_BYTES // 1024**2 + GATHERING_MIB
    assert TASKS["gather"].memory_mib >= wanted_mib
    (function,) = (shape for shape in SHAPES if shape.phase == "gather")
    assert function.memory_mib >= wanted_mib


def test_the_template_makes_a_sealing_key_that_is_taken() -> None:
    assert number("data.py", r"^SEALING_KEY_CHARS = (\d+)$") >= KEY_MIN_CHARS


def test_a_task_waits_for_longer_than_a_migration_for_its_locks() -> None:
    waits_s = number("tasks.py", r"^MIGRATION_MIN = (\d+)$") * 60
    assert waits_s > LOCK_TRIES * (LOCK_WAIT_S + LOCK_PAUSE_MAX_S)
