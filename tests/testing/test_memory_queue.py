"""The queues in memory keep the contract of the port Queue."""

from __future__ import annotations

import pytest

from tests.support.contracts.queue_contract import MAX_RECEIVES, QueueContract
from triptych.testing.memory_queue import MemoryQueue


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue(max_receives=MAX_RECEIVES)


class TestMemoryQueue(QueueContract):
    """Nothing of memory's own."""
