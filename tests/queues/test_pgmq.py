"""pgmq keeps the contract of the port Queue, and what is pgmq's own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.contracts.queue_contract import (
    MAX_RECEIVES,
    PATIENCE_S,
    QueueContract,
    numbered,
    take,
)
from triptych.database.session import Database
from triptych.errors import QueueUnavailable
from triptych.messages import URL_QUEUE
from triptych.queues.pgmq import PgmqQueue, let_go


@pytest.fixture
async def database(migrated_dsn: str) -> AsyncIterator[Database]:
    opened = Database(migrated_dsn)
    yield opened
    await opened.close()


@pytest.fixture
async def queue(database: Database) -> AsyncIterator[PgmqQueue]:
    opened = PgmqQueue(database, max_receives=MAX_RECEIVES)
    yield opened
    await opened.close()


class TestPgmq(QueueContract):
    async def test_what_a_stranger_sends_by_sql_wakes_a_reader(
        self, queue: PgmqQueue, database: Database
    ) -> None:
        await database.fetch(
            "select pgmq.send('url-process-queue', $1::jsonb)",
            {"brand": "nike", "url": "https://x/1", "metadata": {}},
        )
        (delivery,) = await take(queue, wait_s=PATIENCE_S)
        assert dict(delivery.headers) == {}

    async def test_what_lost_consumers_held_is_there_at_once_and_what_is_delayed_is_not(
        self, queue: PgmqQueue, database: Database
    ) -> None:
        await queue.send(URL_QUEUE, numbered(2))
        held, put_off = await take(queue, visibility_s=PATIENCE_S)
        await queue.put_off(put_off, PATIENCE_S, counted=False)
        await queue.send(URL_QUEUE, numbered(1), delay_s=PATIENCE_S)
        await let_go(database)
        (again,) = await take(queue)
        assert (again.body, again.receives) == (held.body, 2)

    async def test_check_names_a_missing_queue(self, queue: PgmqQueue, database: Database) -> None:
        await database.fetch("select pgmq.drop_queue($1)", URL_QUEUE)
        with pytest.raises(QueueUnavailable, match=r"url-process-queue does not exist.*migrate"):
            await queue.check()

    async def test_check_of_an_empty_database_says_migrate(self, fresh_dsn: str) -> None:
        database = Database(fresh_dsn)
        try:
            with pytest.raises(QueueUnavailable, match="migrate"):
                await PgmqQueue(database, max_receives=1).check()
        finally:
            await database.close()
