"""The stores in memory keep the contracts of Postgres', as far as they go."""

from __future__ import annotations

import pytest

from tests.support.contracts.ai_contract import InsightsContract
from tests.support.contracts.pages_contract import PagesContract
from tests.support.contracts.stores_contract import CatalogueContract
from triptych.testing.memory_stores import MemoryStores, memory_stores


@pytest.fixture
def stores() -> MemoryStores:
    return memory_stores()


class TestMemoryStores(CatalogueContract):
    """Nothing of memory's own."""


class TestMemoryForTheAiPhase(InsightsContract):
    """Nothing of memory's own."""


class TestMemoryPages(PagesContract):
    """Nothing of memory's own."""
