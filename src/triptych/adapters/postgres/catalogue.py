"""The catalogue on Postgres: `triptych.ports.Catalogue`, put together from its rooms."""

from __future__ import annotations

from triptych.adapters.postgres.access import PostgresAccess
from triptych.adapters.postgres.ai import PostgresAi
from triptych.adapters.postgres.browsing import PostgresBrowsing
from triptych.adapters.postgres.commit import Committing
from triptych.adapters.postgres.ending import Ending
from triptych.database.migrate import check_schema
from triptych.adapters.postgres.opening import Opening
from triptych.adapters.postgres.outbox import Outbox
from triptych.adapters.postgres.presence import PostgresPresence
from triptych.adapters.postgres.reading import PostgresReading
from triptych.adapters.postgres.retention import PostgresRetention
from triptych.adapters.postgres.search import PostgresSearch
from triptych.database.session import Database
from triptych.adapters.postgres.settling import Settling
from triptych.adapters.postgres.steering import PostgresSteering
from triptych.adapters.postgres.tasks import PostgresTasks
from triptych.adapters.postgres.webhooks import PostgresWebhooks


class PostgresCatalogue(
    Opening,
    Settling,
    Ending,
    Committing,
    Outbox,
    PostgresAi,
    PostgresRetention,
    PostgresWebhooks,
    PostgresReading,
    PostgresBrowsing,
    PostgresSearch,
    PostgresSteering,
    PostgresTasks,
    PostgresAccess,
    PostgresPresence,
):
    """The database. ``run_cap_s`` is how long a run may be active, whatever happens.

    Searches are asked of the ``replica``, if there is one.
    """

    def __init__(
        self, database: Database, *, run_cap_s: float, replica: Database | None = None
    ) -> None:
        Opening.__init__(self, database, run_cap_s=run_cap_s)
        self._replica = replica

    async def check(self) -> None:
        """See `triptych.ports.Catalogue.check`."""
        await check_schema(self._database)

    async def close(self) -> None:
        """See `triptych.ports.Catalogue.close`."""
        if self._replica is not None:
            await self._replica.close()
        await self._database.close()
