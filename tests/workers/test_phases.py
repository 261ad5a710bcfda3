"""What a worker does beside its phases' messages depends on its phases."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.api_server import settings_for
from triptych.messages import Phase
from triptych.wiring.services import connect
from triptych.wiring.worker_process import open_worker


@pytest.mark.parametrize("phase", list(Phase))
async def test_g9_only_workers_of_the_third_phase_delete_objects(
    migrated_dsn: str, tmp_path: Path, phase: Phase
) -> None:
    settings = settings_for(migrated_dsn, tmp_path)
    async with (
        connect(settings, migrated_dsn) as services,
        open_worker(services, [phase]) as worker,
    ):
        assert (worker._collector is not None) == (phase is Phase.AI)
