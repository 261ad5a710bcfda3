"""`Queue` on pgmq: queues in the same Postgres.

Plain reads only: pgmq's grouped reads are FIFO, so a group with a message in flight yields
nothing. pgmq has no dead-lettering of its own: a message is moved in one transaction.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import groupby

import asyncpg
from typing_extensions import override

from triptych.database.session import Database
from triptych.errors import DatabaseUnavailable, QueueUnavailable
from triptych.messages import (
    DEAD_LETTER_SUFFIX,
    HEADER_ORIGIN_ID,
    HEADER_REASON,
    QUEUES,
    Delivery,
    Message,
    dead_letter_queue,
)
from triptych.queues.queue import Queue, QueueDepth
from triptych.queues.reading import readable_body, readable_headers

SEND_BATCH = 100
RECEIVE_BATCH_MAX = 100
CHANNEL = "triptych_queues"
RECHECK_S = 1.0
"""There is no notification when a visibility timeout passes: a waiting reader polls this often, and
when a message that it hid itself is due."""
HEADER_PUT_OFF = "triptych-put-off"
"""How often a message had been received when it was put off; it is delayed until the next time."""
PUT_OFF_MIN_S = 0.05
"""The shortest time for which a message is put off: the consumer that does it must have let go of
it when it comes again, because it has the same id."""
WAKE_STEP_S = 0.05
"""Messages that are due within the same step wake a reader once."""
_MOVE = {
    queue: (
        f'with moved as (delete from pgmq."q_{queue}" where msg_id = $1 returning message) '  # noqa: S608
        "select pgmq.send($2, coalesce(message, 'null'), $3::jsonb) from moved"
    )
    for queue in QUEUES
}
"""The statement that makes a queue's message a dead letter: pgmq has none that moves a message, and
the name of a table cannot be a parameter."""


_PUT_OFF = {
    queue: (
        f'update pgmq."q_{queue}" set '  # noqa: S608
        "vt = clock_timestamp() + make_interval(secs => $2), "
        "read_ct = case when $3 then read_ct else 0 end, "
        "headers = case when $3 and (headers is null or jsonb_typeof(headers) = 'object') "
        "then coalesce(headers, '{}') || jsonb_build_object($4::text, read_ct::text) "
        "else headers end where msg_id = $1"
    )
    for name in QUEUES
    for queue in (name, dead_letter_queue(name))
}
"""The statement that puts a message off where it is. One that counts as received notes how often it
was, so that `_DEPTH` tells it from one that somebody has received again since."""
_DEPTH = (
    "select $1::text as queue, count(*) filter (where vt <= clock_timestamp()) as waiting, "
    "count(*) filter (where vt > clock_timestamp() and "
    "(read_ct = 0 or headers ->> '{header}' = read_ct::text)) as delayed, count(*) as held, "
    "extract(epoch from clock_timestamp() - min(enqueued_at))::double precision as oldest_s "
    'from pgmq."q_{queue}"'
)
"""pgmq's own metrics do not tell delayed messages from those that somebody works on."""


_LET_GO = {
    queue: (
        f'update pgmq."q_{queue}" set vt = clock_timestamp() where vt > clock_timestamp() '  # noqa: S608
        "and read_ct > 0 and headers ->> $1 is distinct from read_ct::text"
    )
    for name in QUEUES
    for queue in (name, dead_letter_queue(name))
}


class PgmqQueue(Queue):
    """Queues on pgmq. After ``max_receives`` deliveries a message becomes a dead letter."""

    poll_wait_s = 1.0

    def __init__(self, database: Database, *, max_receives: int) -> None:
        self._database = database
        self._max_receives = max_receives
        self._listener: asyncpg.Connection | None = None
        self._listening = asyncio.Lock()
        self._news: dict[str, asyncio.Event] = {}
        self._due: set[tuple[str, int]] = set()

    @override
    async def check(self) -> None:
        try:
            rows = await self._database.fetch("select queue_name from pgmq.list_queues()")
        except asyncpg.UndefinedFunctionError as error:
            raise _missing("pgmq") from error
        except asyncpg.InvalidSchemaNameError as error:
            raise _missing("pgmq") from error
        except DatabaseUnavailable as error:
            raise QueueUnavailable(error.message, remedy=error.remedy) from error
        there = {row["queue_name"] for row in rows}
        for queue in QUEUES:
            for name in (queue, dead_letter_queue(queue)):
                if name not in there:
                    raise _missing(name)

    @override
    async def send(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0) -> None:
        for start in range(0, len(messages), SEND_BATCH):
            batch = messages[start : start + SEND_BATCH]
            await self._fetch(
                "select count(*) from pgmq.send_batch($1, $2::jsonb[], $3::jsonb[], "
                "clock_timestamp() + make_interval(secs => $4))",
                queue,
                [dict(message.body) for message in batch],
                [dict(message.headers) for message in batch],
                delay_s,
            )
            self._wake_in(queue, delay_s)

    @override
    async def receive(
        self, queue: str, *, limit: int, visibility_s: float, wait_s: float
    ) -> Sequence[Delivery]:
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_s
        news = self._news.setdefault(queue, asyncio.Event())
        while True:
            news.clear()
            found = await self._read(queue, min(limit, RECEIVE_BATCH_MAX), visibility_s)
            left = until - loop.time()
            if found or left <= 0:
                return found
            await self._listen()
            try:
                await asyncio.wait_for(news.wait(), min(left, RECHECK_S))
            except TimeoutError:
                continue

    async def _read(self, queue: str, limit: int, visibility_s: float) -> list[Delivery]:
        rows = await self._fetch(
            "select msg_id, read_ct, enqueued_at, message, headers from pgmq.read($1, $2, $3)",
            queue,
            math.ceil(visibility_s),
            limit,
        )
        found = [_delivery(queue, row) for row in rows]
        if queue.endswith(DEAD_LETTER_SUFFIX):
            return found
        for delivery in found:
            if delivery.receives > self._max_receives:
                reason = f"received {delivery.receives - 1} times and never settled"
                await self.dead_letter(delivery, reason)
        return [delivery for delivery in found if delivery.receives <= self._max_receives]

    @override
    async def extend(self, deliveries: Sequence[Delivery], visibility_s: float) -> None:
        for queue, ids in _by_queue(deliveries):
            await self._fetch(
                "select count(*) from pgmq.set_vt($1, $2::bigint[], "
                "clock_timestamp() + make_interval(secs => $3))",
                queue,
                ids,
                visibility_s,
            )
            self._wake_in(queue, visibility_s)
            if visibility_s <= 0:
                await self._fetch("select pg_notify($1, $2)", CHANNEL, queue)

    @override
    async def put_off(self, delivery: Delivery, delay_s: float, *, counted: bool) -> None:
        """One statement, and no copy: a message is never there twice."""
        statement = _PUT_OFF[delivery.queue]
        hidden_s = max(delay_s, PUT_OFF_MIN_S)
        await self._fetch(statement, int(delivery.receipt), hidden_s, counted, HEADER_PUT_OFF)
        self._wake_in(delivery.queue, hidden_s)

    @override
    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        for queue, ids in _by_queue(deliveries):
            await self._fetch("select count(*) from pgmq.delete($1, $2::bigint[])", queue, ids)

    @override
    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        """One statement, so one transaction. The body is moved as it is, readable or not."""
        headers = {
            **delivery.headers,
            HEADER_REASON: reason,
            HEADER_ORIGIN_ID: delivery.id,
        }
        await self._fetch(
            _MOVE[delivery.queue],
            int(delivery.receipt),
            dead_letter_queue(delivery.queue),
            headers,
        )

    @override
    async def depths(self) -> Sequence[QueueDepth]:
        there = {
            row["queue_name"]
            for row in await self._fetch("select queue_name from pgmq.list_queues()")
        }
        names = [name for queue in QUEUES for name in (queue, dead_letter_queue(queue))]
        found = []
        for name in names:
            if name in there:
                statement = _DEPTH.format(queue=name, header=HEADER_PUT_OFF)
                found += await self._fetch(statement, name)
        return [
            QueueDepth(
                queue=row["queue"],
                waiting=row["waiting"],
                in_flight=row["held"] - row["waiting"] - row["delayed"],
                oldest_s=row["oldest_s"],
                delayed=row["delayed"],
            )
            for row in found
        ]

    @override
    async def close(self) -> None:
        """The caller that opened the database closes it."""
        listener, self._listener = self._listener, None
        if listener is not None and not listener.is_closed():
            listener.terminate()

    async def _fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        try:
            return await self._database.fetch(sql, *args)
        except DatabaseUnavailable as error:
            raise QueueUnavailable(error.message, remedy=error.remedy) from error

    async def _listen(self) -> None:
        async with self._listening:
            if self._listener is not None and not self._listener.is_closed():
                return
            try:
                listener = await self._database.connect()
                await listener.add_listener(CHANNEL, self._heard)
            except (DatabaseUnavailable, OSError, asyncpg.PostgresError) as error:
                raise QueueUnavailable(str(error)) from error
            self._listener = listener

    def _wake_in(self, queue: str, seconds: float) -> None:
        """Poll again when a message hidden here becomes visible: nothing notifies of that."""
        if seconds <= 0:
            return
        loop = asyncio.get_running_loop()
        due = (queue, math.ceil((loop.time() + seconds) / WAKE_STEP_S))
        if due not in self._due:
            self._due.add(due)
            loop.call_at(due[1] * WAKE_STEP_S, self._wake, due)

    def _wake(self, due: tuple[str, int]) -> None:
        self._due.discard(due)
        if event := self._news.get(due[0]):
            event.set()

    def _heard(self, _connection: object, _pid: int, _channel: str, queue: object) -> None:
        if event := self._news.get(str(queue)):
            event.set()


async def let_go(database: Database) -> None:
    """Make the messages visible that consumers held: call it only when none of them lives.

    Messages that are delayed stay so.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    async with database.connection() as connection:
        for statement in _LET_GO.values():
            await connection.execute(statement, HEADER_PUT_OFF)


def _delivery(queue: str, row: asyncpg.Record) -> Delivery:
    at: datetime = row["enqueued_at"]
    headers, problem = readable_headers(row["headers"])
    headers.pop(HEADER_PUT_OFF, None)  # Of this queue's bookkeeping only.
    return Delivery(
        queue=queue,
        # Message ids start again when a queue is created again; the time tells them apart.
        id=f"{row['msg_id']}-{int(at.timestamp() * 1_000_000)}",
        receipt=str(row["msg_id"]),
        body=row["message"],
        headers=headers,
        receives=row["read_ct"],
        problem=readable_body(row["message"]) or problem,
    )


def _by_queue(deliveries: Sequence[Delivery]) -> Iterator[tuple[str, list[int]]]:
    ordered = sorted(deliveries, key=lambda delivery: delivery.queue)
    for queue, group in groupby(ordered, key=lambda delivery: delivery.queue):
        yield queue, sorted(int(delivery.receipt) for delivery in group)


def _missing(name: str) -> QueueUnavailable:
    return QueueUnavailable(f"The queue {name} does not exist.", remedy="Run `triptych migrate`.")
