"""Numbers of the template that have to agree with those of the code."""

from __future__ import annotations

import re
from pathlib import Path

from triptych.database.migrate import LOCK_PAUSE_MAX_S, LOCK_TRIES, LOCK_WAIT_S
from triptych.gather.lists.list_parsers import MEMORY_MAX_BYTES
from triptych.runtime.asgi_server import KEEP_ALIVE_S
from triptych.sealing.key_ring import KEY_MIN_CHARS
from triptych.settings.settings import Settings

GATHERING_MIB = 512
"""What a process that gathers takes itself: 60 to 70 MiB were measured, besides its libraries."""
INFRA = Path(__file__).resolve().parents[2] / "infra"


def number(file: str, pattern: str) -> int:
    found = re.search(pattern, (INFRA / file).read_text(), re.MULTILINE)
    assert found is not None, pattern
    return int(found[1].replace("_", ""))


def test_servers_keep_connections_for_longer_than_the_balancer() -> None:
    assert number("edge.py", r"^IDLE_S = (\d+)$") < KEEP_ALIVE_S


def test_the_scaling_target_is_between_what_a_worker_holds_and_a_brands_window() -> None:
    prefetch = Settings.model_fields["acquire_prefetch"].default
    target = number("workers.py", r'"url-process-queue", \d+, \d+, (\d+)')
    assert number("data.py", r"^ACQUIRE_PREFETCH = (\d+)$") == prefetch
    # Another task comes only when the first has its hands full, and it comes for one brand alone.
    assert prefetch < target < Settings.model_fields["dispatch_window"].default


def test_a_brands_window_keeps_every_worker_busy() -> None:
    source = (INFRA / "data.py").read_text()
    assert 'ACQUIRE_PREFETCH * profile.tasks["acquire"][1]' in source
    assert "TRIPTYCH_DISPATCH_WINDOW" in source


def test_gather_has_room_for_a_list_parser_beside_its_own_process() -> None:
    wanted_mib = MEMORY_MAX_BYTES // 1024**2 + GATHERING_MIB
    assert number("workers.py", r'"brand-gather-queue", \d+, (\d+)') >= wanted_mib
    assert number("functions.py", r'"brand-gather-queue", \d+, (\d+)') >= wanted_mib


def test_the_template_makes_a_sealing_key_that_is_taken() -> None:
    assert number("data.py", r"^SEALING_KEY_CHARS = (\d+)$") >= KEY_MIN_CHARS


def test_a_task_waits_for_longer_than_a_migration_for_its_locks() -> None:
    waits_s = number("tasks.py", r"^MIGRATION_MIN = (\d+)$") * 60
    assert waits_s > LOCK_TRIES * (LOCK_WAIT_S + LOCK_PAUSE_MAX_S)
