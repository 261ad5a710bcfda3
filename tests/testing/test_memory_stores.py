"""The stores in memory keep the contracts of Postgres', as far as they go."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from tests.support.contracts.ai_contract import InsightsContract
from tests.support.contracts.features_contract import FeaturesContract
from tests.support.contracts.items_contract import ItemsContract
from tests.support.contracts.limits_contract import LimitsContract
from tests.support.contracts.outages_contract import Age, OutagesContract
from tests.support.contracts.pages_contract import PagesContract
from tests.support.contracts.pictures_contract import PicturesContract
from tests.support.contracts.removals_contract import RemovalsContract
from tests.support.contracts.restores_contract import RestoresContract
from tests.support.contracts.rows_contract import RowsContract
from tests.support.contracts.run_log_contract import RunLogContract
from tests.support.contracts.settling_contract import SettlingContract
from tests.support.contracts.stalled_contract import PassTime, StalledContract
from tests.support.contracts.stores_contract import CatalogueContract
from tests.support.contracts.uploads_contract import UploadsContract
from triptych.testing.memory_state import MemoryState
from triptych.testing.memory_stores import MemoryStores, memory_stores


@pytest.fixture
def stores() -> MemoryStores:
    return memory_stores()


class TestMemoryStores(
    CatalogueContract,
    FeaturesContract,
    ItemsContract,
    PicturesContract,
    RemovalsContract,
    RestoresContract,
    RowsContract,
    RunLogContract,
    SettlingContract,
    UploadsContract,
):
    """Nothing of memory's own."""


class OwnState:
    """Stores whose state the test can reach."""

    @pytest.fixture
    def state(self) -> MemoryState:
        return MemoryState()

    @pytest.fixture
    def stores(self, state: MemoryState) -> MemoryStores:
        return memory_stores(state)


class TestMemoryOutages(OwnState, OutagesContract):
    @pytest.fixture
    def age(self, state: MemoryState) -> Age:
        async def age(seconds: float) -> None:
            for run in state.runs.values():
                for outage in run.outages.values():
                    outage.seen_at -= timedelta(seconds=seconds)

        return age


class TestMemoryLimits(LimitsContract):
    MODULE = "triptych.testing.memory_limits"


class TestMemoryStalled(OwnState, StalledContract):
    @pytest.fixture
    def pass_time(self, state: MemoryState) -> PassTime:
        async def pass_time(seconds: float) -> None:
            by = timedelta(seconds=seconds)
            for row in state.runs.values():
                progressed_at = row.run.progressed_at - by
                row.run = msgspec.structs.replace(row.run, progressed_at=progressed_at)
                for item in row.items.values():
                    for name in ("sent_at", "tried_at", "due_at"):
                        at = getattr(item, name)
                        setattr(item, name, at and at - by)

        return pass_time


class TestMemoryForTheAiPhase(InsightsContract):
    """Nothing of memory's own."""


class TestMemoryPages(PagesContract):
    """Nothing of memory's own."""
