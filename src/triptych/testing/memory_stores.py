"""All in-memory stores."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.ai.ai_store import AiStore
from triptych.dead_letters.dead_letter_store import DeadLetterStore
from triptych.features.feature_store import FeatureStore
from triptych.limits.limit_store import LimitStore
from triptych.runs.brand_store import BrandStore
from triptych.runs.change_feed import ChangeFeed
from triptych.runs.fleet_store import FleetStore
from triptych.runs.item_store import ItemStore
from triptych.runs.outage_store import OutageStore
from triptych.runs.picture_store import PictureStore
from triptych.runs.run_store import RunStore
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.testing.memory_ai import MemoryAiStore
from triptych.testing.memory_brands import MemoryBrandStore
from triptych.testing.memory_change_feed import MemoryChangeFeed
from triptych.testing.memory_dead_letters import MemoryDeadLetterStore
from triptych.testing.memory_features import MemoryFeatureStore
from triptych.testing.memory_fleet import MemoryFleetStore
from triptych.testing.memory_limits import MemoryLimitStore
from triptych.testing.memory_outages import MemoryOutageStore
from triptych.testing.memory_pictures import MemoryPictureStore
from triptych.testing.memory_run_items import MemoryItemStore
from triptych.testing.memory_runs import MemoryRunStore
from triptych.testing.memory_snapshots import MemorySnapshotStore
from triptych.testing.memory_state import MemoryState
from triptych.testing.memory_uploads import MemoryUploadStore
from triptych.uploads.upload_store import UploadStore

RUN_CAP_S = 3600.0


@dataclass(slots=True)
class MemoryStores:
    """Stores that share their rows. For one event loop; nothing outlives the process.

    They keep the contracts of the Postgres stores, except for concurrent processes, crashes and
    retention. Search, tasks, webhooks, keys and workers exist on Postgres only.
    """

    runs: RunStore
    outages: OutageStore
    items: ItemStore
    pictures: PictureStore
    fleet: FleetStore
    brands: BrandStore
    changes: ChangeFeed
    dead_letters: DeadLetterStore
    snapshots: SnapshotStore
    ai: AiStore
    features: FeatureStore
    uploads: UploadStore
    limits: LimitStore

    async def check(self) -> None:
        """Do nothing: memory is always available."""


def memory_stores(
    state: MemoryState | None = None, *, run_cap_s: float = RUN_CAP_S
) -> MemoryStores:
    """Return stores over these rows, or empty ones.

    ``run_cap_s`` is how long a run may be active, whatever happens.
    """
    state = state or MemoryState()
    return MemoryStores(
        runs=MemoryRunStore(state, run_cap_s=run_cap_s),
        outages=MemoryOutageStore(state),
        items=MemoryItemStore(state),
        pictures=MemoryPictureStore(state),
        fleet=MemoryFleetStore(state),
        brands=MemoryBrandStore(state),
        changes=MemoryChangeFeed(state),
        dead_letters=MemoryDeadLetterStore(state),
        snapshots=MemorySnapshotStore(state),
        ai=MemoryAiStore(state),
        features=MemoryFeatureStore(state),
        uploads=MemoryUploadStore(state),
        limits=MemoryLimitStore(state),
    )
