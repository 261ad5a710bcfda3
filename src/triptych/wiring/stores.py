"""The stores of one database, one for each concern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from triptych.access.access_store import AccessStore
from triptych.access.postgres_access import PostgresAccessStore
from triptych.ai.ai_store import AiStore
from triptych.ai.postgres_ai import PostgresAiStore
from triptych.database.schema import Schema, check_schema
from triptych.database.session import Database
from triptych.dead_letters.dead_letter_store import DeadLetterStore
from triptych.dead_letters.postgres_dead_letters import PostgresDeadLetterStore
from triptych.features.feature_store import FeatureStore
from triptych.features.postgres_features import PostgresFeatureStore
from triptych.limits.limit_store import LimitStore
from triptych.limits.postgres_limits import PostgresLimitStore
from triptych.presence.postgres_presence import PostgresPresenceStore
from triptych.presence.presence_store import PresenceStore
from triptych.reads.postgres.postgres_projections import PostgresProjectionStore
from triptych.reads.projection_store import ProjectionStore
from triptych.runs.brand_store import BrandStore
from triptych.runs.change_feed import ChangeFeed
from triptych.runs.fleet_store import FleetStore
from triptych.runs.item_store import ItemStore
from triptych.runs.outage_store import OutageStore
from triptych.runs.picture_store import PictureStore
from triptych.runs.postgres.notifications import PostgresChangeFeed
from triptych.runs.postgres.postgres_brands import PostgresBrandStore
from triptych.runs.postgres.postgres_fleet import PostgresFleetStore
from triptych.runs.postgres.postgres_items import PostgresItemStore
from triptych.runs.postgres.postgres_outages import PostgresOutageStore
from triptych.runs.postgres.postgres_pictures import PostgresPictureStore
from triptych.runs.postgres.postgres_runs import PostgresRunStore
from triptych.runs.postgres.sealed_sources import SealedSources
from triptych.runs.run_store import RunStore
from triptych.sealing.key_ring import KeyRing
from triptych.snapshots.damage_store import DamageStore
from triptych.snapshots.facet_store import FacetStore
from triptych.snapshots.postgres.postgres_damage import PostgresDamageStore
from triptych.snapshots.postgres.postgres_facets import PostgresFacetStore
from triptych.snapshots.postgres.postgres_retention import PostgresRetentionStore
from triptych.snapshots.postgres.postgres_search import PostgresSearchStore
from triptych.snapshots.postgres.postgres_snapshots import PostgresSnapshotStore
from triptych.snapshots.postgres.postgres_stored_rows import PostgresStoredRows
from triptych.snapshots.retention_store import RetentionStore
from triptych.snapshots.search_store import SearchStore
from triptych.snapshots.snapshot_store import SnapshotStore
from triptych.snapshots.stored_rows import StoredRows
from triptych.tasks.history_store import HistoryStore
from triptych.tasks.postgres_history import PostgresHistoryStore
from triptych.tasks.postgres_tasks import PostgresTaskStore
from triptych.tasks.task_store import TaskStore
from triptych.uploads.postgres_uploads import PostgresUploadStore
from triptych.uploads.upload_store import UploadStore
from triptych.webhooks.postgres_webhooks import PostgresWebhookStore
from triptych.webhooks.sealed_webhooks import SealedWebhooks
from triptych.webhooks.webhook_store import WebhookStore

COMMIT_CONNECTIONS = 2
"""Commits of one process at a time. They hold a connection for as long as they last, and wait for
the lock of their run, so they use none of the connections that everything else needs."""


@dataclass(slots=True)
class Stores:
    """One store for each concern. Components are given the stores they need, not this object."""

    runs: RunStore
    outages: OutageStore
    items: ItemStore
    pictures: PictureStore
    brands: BrandStore
    changes: ChangeFeed
    dead_letters: DeadLetterStore
    snapshots: SnapshotStore
    search: SearchStore
    facets: FacetStore
    retention: RetentionStore
    damage: DamageStore
    stored_rows: StoredRows
    ai: AiStore
    features: FeatureStore
    tasks: TaskStore
    uploads: UploadStore
    history: HistoryStore
    webhooks: WebhookStore
    access: AccessStore
    presence: PresenceStore
    limits: LimitStore
    fleet: FleetStore
    projections: ProjectionStore
    databases: Sequence[Database]
    """The databases that the stores use, the primary first."""

    async def check(self) -> None:
        """Raise `DatabaseUnavailable` unless it answers with a schema that this code serves on."""
        await self.schema()

    async def schema(self) -> Schema:
        """Return the database's schema.

        Raises:
            DatabaseUnavailable: it does not answer, or this code may not serve on its schema.
        """
        return await check_schema(self.databases[0])

    async def close(self) -> None:
        """Close the connections. May be called repeatedly."""
        for database in self.databases:
            await database.close()


def postgres_stores(
    database: Database,
    *,
    run_cap_s: float,
    replica: Database | None = None,
    keys: KeyRing | None = None,
) -> Stores:
    """Return the stores of one Postgres; searches use the ``replica``, if there is one.

    Args:
        database: the primary.
        run_cap_s: the absolute limit, in seconds, for which a run may be active.
        replica: a read replica.
        keys: what secrets are sealed with; without keys, sources and webhooks that have one are
            refused.
    """
    keys = keys or KeyRing()
    sources = SealedSources(keys)
    commits = database.own_pool(COMMIT_CONNECTIONS)
    return Stores(
        runs=PostgresRunStore(database, commits, sources, run_cap_s=run_cap_s),
        outages=PostgresOutageStore(database),
        items=PostgresItemStore(database),
        pictures=PostgresPictureStore(database),
        brands=PostgresBrandStore(database, sources),
        changes=PostgresChangeFeed(database),
        dead_letters=PostgresDeadLetterStore(database),
        snapshots=PostgresSnapshotStore(database),
        search=PostgresSearchStore(database, replica=replica),
        facets=PostgresFacetStore(database),
        retention=PostgresRetentionStore(database),
        damage=PostgresDamageStore(database),
        stored_rows=PostgresStoredRows(database),
        ai=PostgresAiStore(database),
        features=PostgresFeatureStore(database),
        tasks=PostgresTaskStore(database),
        uploads=PostgresUploadStore(database),
        history=PostgresHistoryStore(database),
        webhooks=PostgresWebhookStore(database, SealedWebhooks(keys)),
        access=PostgresAccessStore(database),
        presence=PostgresPresenceStore(database),
        limits=PostgresLimitStore(database),
        fleet=PostgresFleetStore(database),
        projections=PostgresProjectionStore(database, PostgresSearchStore(database)),
        databases=[database] if replica is None else [database, replica],
    )
