"""What runs in the caller's process, of the phases that it wants."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.local_pipeline import acquiring_at, ended, local_at
from tests.support.picture_server import Site, write_manifest
from tests.support.waiting import until
from triptych.messages import AI_QUEUE
from triptych.model import AiState, RunState
from triptych.queues.queue import QueueDepth
from triptych.wiring.local import Local

pytestmark = pytest.mark.integration


async def test_messages_of_a_phase_that_is_not_open_stay_for_a_worker_that_does_it(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 2)
    async with acquiring_at(tmp_path, decode=False) as local:
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assert (run.state, run.ai_state) == (RunState.COMMITTED, AiState.QUEUED)
        depth = await until(lambda: of_the_ai_phase(local), lambda depth: depth.waiting == 1)
        assert depth.in_flight == 0
    async with local_at(tmp_path, decode=False) as local:
        assert (await ended(local, run.id)).ai_state is AiState.DONE


async def of_the_ai_phase(local: Local) -> QueueDepth:
    (depth,) = [depth for depth in await local.queue.depths() if depth.queue == AI_QUEUE]
    return depth
