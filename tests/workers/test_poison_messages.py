"""G9: whatever is in a queue, no other message and no worker suffers from it.

Every message that cannot be processed is a dead letter with its reason, once; brands that are
under way meanwhile are right.
"""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from aws_local.emulator import REGION, Emulator

from tests.support.local_pipeline import ended, local_at, snapshot
from tests.support.picture_server import Site, write_manifest
from tests.support.poison import (
    BODIES,
    HEADERS,
    NOT_JSONB,
    VALID_BODY,
    arbitrary_json,
    arbitrary_text,
)
from tests.support.waiting import until
from triptych.dead_letters.dead_letter_store import DeadLetter
from triptych.embedded.server import read_dsn
from triptych.messages import HEADER_ORIGIN_ID, QUEUES, URL_QUEUE, dead_letter_queue
from triptych.model import RunKind, RunState
from triptych.queues.sqs.create import create_queues
from triptych.queues.sqs.sqs_client import AwsClient
from triptych.wiring.local import Local

pytestmark = pytest.mark.integration

BRANDS = 2
URLS = 10
SEED = 20261129
FUZZED = 120
LETTERS_MAX = 2_000
EVERY_QUEUE = [name for queue in QUEUES for name in (queue, dead_letter_queue(queue))]
prefixes = itertools.count(1)


async def dead_letters(local: Local) -> list[DeadLetter]:
    found = await local.stores.dead_letters.dead_letters(limit=LETTERS_MAX)
    return [letter for _, letter in found]


async def assert_each_is_a_dead_letter(
    local: Local, sent: Counter[str], site: Site, folder: Path
) -> None:
    """Take brands through while the poison is there, then look at what became of both."""
    sources = [
        (f"brand{n}", write_manifest(folder, site.base, f"brand{n}", URLS)) for n in range(BRANDS)
    ]
    runs = [await local.submit(brand, source=source) for brand, source in sources]
    for run in runs:
        assert (await ended(local, run.id)).state is RunState.COMMITTED
        assert len(await snapshot(local, run.brand)) == URLS
    letters = await until(lambda: dead_letters(local), lambda letters: len(letters) >= sent.total())
    assert Counter(letter.queue for letter in letters) == sent
    assert all(letter.reason for letter in letters)
    depths = await until(
        local.queue.depths, lambda depths: not any(d.waiting + d.in_flight for d in depths)
    )
    assert {depth.queue for depth in depths} == set(EVERY_QUEUE)


class TestPgmq:
    @pytest.fixture
    async def local(self, tmp_path: Path) -> AsyncIterator[Local]:
        async with local_at(tmp_path, decode=False) as local:
            yield local

    @pytest.fixture
    async def sql(self, local: Local) -> AsyncIterator[asyncpg.Connection]:
        """A producer that writes SQL, as anyone may who has the database's password."""
        connection = await asyncpg.connect(read_dsn(local.services.settings.data))
        yield connection
        await connection.close()

    async def test_every_known_poison_is_a_dead_letter_with_its_reason(
        self, local: Local, sql: asyncpg.Connection, site: Site, tmp_path: Path
    ) -> None:
        sent: Counter[str] = Counter()
        for queue in EVERY_QUEUE:
            origin = queue.removesuffix("-dlq")
            for body in BODIES.values():
                await sql.execute("select pgmq.send($1, $2::jsonb)", queue, body)
                sent[origin] += 1
            await sql.execute("select pgmq.send($1, null::jsonb)", queue)
            sent[origin] += 1
            for headers in HEADERS.values():
                await sql.execute(
                    "select pgmq.send($1, $2::jsonb, $3::jsonb)", queue, VALID_BODY[origin], headers
                )
                sent[origin] += 1
        await assert_each_is_a_dead_letter(local, sent, site, tmp_path)

    async def test_a_dead_letter_whose_headers_name_an_endless_id_is_recorded(
        self, local: Local, sql: asyncpg.Connection
    ) -> None:
        headers = '{"' + HEADER_ORIGIN_ID + '": "' + "x" * 100_000 + '"}'
        await sql.execute(
            "select pgmq.send($1, 'null', $2::jsonb)", dead_letter_queue(URL_QUEUE), headers
        )
        (letter,) = await until(lambda: dead_letters(local))
        assert len(letter.message_id) < 100

    async def test_an_entry_of_the_outbox_that_cannot_be_sent_holds_up_no_other(
        self, local: Local, sql: asyncpg.Connection, site: Site, tmp_path: Path
    ) -> None:
        entries = [
            (URL_QUEUE, BODIES["beyond a double"], "{}"),
            (URL_QUEUE, "null", "{}"),
            (URL_QUEUE, VALID_BODY[URL_QUEUE], HEADERS["deep"]),
            ("no-such-queue", VALID_BODY[URL_QUEUE], "{}"),
        ]
        for queue, body, headers in entries:
            await sql.execute(
                "insert into outbox (queue, body, headers, brand) "
                "values ($1, $2::jsonb, $3::jsonb, '')",
                queue,
                body,
                headers,
            )
        sent = Counter(queue for queue, _, _ in entries)
        await assert_each_is_a_dead_letter(local, sent, site, tmp_path)
        assert not await sql.fetch("select from outbox")

    async def test_metadata_that_cannot_be_read_holds_up_no_other_item(
        self, local: Local, sql: asyncpg.Connection, site: Site, tmp_path: Path
    ) -> None:
        source = write_manifest(tmp_path, site.base, "nike", URLS)
        await local.stores.brands.trust_source("nike", source)
        opened = await local.stores.runs.open_run(
            "nike",
            run_id=uuid4(),
            kind=RunKind.FULL,
            source=source,
            policy=local.services.settings.policy,
            enqueue_gather_message=True,
        )
        run = await local.registry.pause(opened.run.id)
        await local.registry.relay(run.id)
        await until(lambda: local.stores.runs.run(run.id), lambda run: run.sealed)
        await sql.execute(
            "update items set metadata = '{\"price\": 1e400}' where url like '%/3.png'"
        )
        await local.registry.resume(run.id)
        assert (await ended(local, run.id)).state is RunState.COMMITTED
        assets = await snapshot(local, "nike")
        assert len(assets) == URLS
        (odd,) = [asset for asset in assets if asset.url.endswith("/3.png")]
        assert list(odd.metadata) == ["unreadable_json"]

    async def test_arbitrary_json_in_every_queue(
        self, local: Local, sql: asyncpg.Connection, site: Site, tmp_path: Path
    ) -> None:
        chance = random.Random(SEED)
        sent: Counter[str] = Counter()
        for _ in range(FUZZED):
            queue = chance.choice(EVERY_QUEUE)
            body, headers = arbitrary_json(chance), arbitrary_json(chance)
            valid = "select pg_input_is_valid($1, 'jsonb') and pg_input_is_valid($2, 'jsonb')"
            texts = [json.dumps(body), json.dumps(headers)]
            if await sql.fetchval(valid, *texts):
                await sql.execute("select pgmq.send($1, $2::jsonb, $3::jsonb)", queue, *texts)
                sent[queue.removesuffix("-dlq")] += 1
        assert sent.total() > FUZZED / 2
        await assert_each_is_a_dead_letter(local, sent, site, tmp_path)


class TestSqs:
    @pytest.fixture
    def prefix(self) -> str:
        return f"poison{next(prefixes)}-"

    @pytest.fixture
    async def local(self, aws: Emulator, prefix: str, tmp_path: Path) -> AsyncIterator[Local]:
        await create_queues(region=REGION, prefix=prefix, max_receives=20, visibility_s=60)
        async with local_at(tmp_path, decode=False, queue_url=f"sqs://{REGION}/{prefix}") as local:
            yield local

    @pytest.fixture
    async def producer(self, aws: Emulator) -> AsyncIterator[AwsClient]:
        client = AwsClient("sqs", REGION)
        yield client
        await client.close()

    async def test_every_known_poison_is_a_dead_letter_with_its_reason(
        self, local: Local, producer: AwsClient, prefix: str, site: Site, tmp_path: Path
    ) -> None:
        sent: Counter[str] = Counter()
        for queue in EVERY_QUEUE:
            for body in (*BODIES.values(), *NOT_JSONB.values()):
                await send(producer, prefix + queue, body)
                sent[queue.removesuffix("-dlq")] += 1
        await assert_each_is_a_dead_letter(local, sent, site, tmp_path)

    async def test_arbitrary_text_in_every_queue(
        self, local: Local, producer: AwsClient, prefix: str, site: Site, tmp_path: Path
    ) -> None:
        chance = random.Random(SEED)
        sent: Counter[str] = Counter()
        for _ in range(FUZZED // 2):
            queue = chance.choice(EVERY_QUEUE)
            await send(producer, prefix + queue, arbitrary_text(chance))
            sent[queue.removesuffix("-dlq")] += 1
        await assert_each_is_a_dead_letter(local, sent, site, tmp_path)


async def send(producer: AwsClient, name: str, body: str) -> None:
    url = (await producer.call("get_queue_url", QueueName=name))["QueueUrl"]
    await producer.call("send_message", QueueUrl=url, MessageBody=body)
