"""The phases as Lambda functions, in AWS' own runtime client, on SQS' wire protocol."""

from __future__ import annotations

import asyncio
import io
import json
import os
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aws_local.emulator import REGION, Emulator
from aws_local.functions import Answer, LambdaProcess, sqs_event

from tests.support.aws import kept_secret
from tests.support.picture_server import Site, write_manifest
from tests.support.worker_processes import environment
from triptych.aws_lambda.secret_settings import KEPT
from triptych.database.session import Database
from triptych.live.watch import watch
from triptych.messages import AI_QUEUE, GATHER_QUEUE, HEADER_REASON, QUEUES, URL_QUEUE, Message
from triptych.messages import dead_letter_queue as dlq
from triptych.model import AiState, Reason, RunState
from triptych.queues.sqs.sqs_client import AwsClient
from triptych.reads.mongo.connection import MongoConnection
from triptych.settings.settings import Settings
from triptych.wiring.services import Services, connect, migrate_database

PREFIX = "lambda-"
TIMEOUT_S = 60.0
PATIENCE_S = 90.0


@dataclass
class Cloud:
    """Functions, and what Lambda's pollers do between SQS and them."""

    parts: Services
    environment: dict[str, str]
    raw: AwsClient
    stack: AsyncExitStack
    functions: dict[str, LambdaProcess]
    sweeping: dict[str, str]
    """What the function that sweeps has besides: where the address of MongoDB is kept."""

    async def function(self, name: str) -> LambdaProcess:
        if name not in self.functions:
            told = self.environment | (self.sweeping if name == "sweep" else {})
            process = LambdaProcess(
                f"triptych.aws_lambda.handlers.{name}", told, timeout_s=TIMEOUT_S
            )
            self.functions[name] = await self.stack.enter_async_context(process)
        return self.functions[name]

    async def receive(self, queue: str, *, limit: int = 10, wait_s: int = 1) -> list[Any]:
        url = (await self.raw.call("get_queue_url", QueueName=PREFIX + queue))["QueueUrl"]
        answer = await self.raw.call(
            "receive_message",
            QueueUrl=url,
            MaxNumberOfMessages=limit,
            WaitTimeSeconds=wait_s,
            VisibilityTimeout=600,
            MessageSystemAttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        found: list[Any] = answer.get("Messages", [])
        return found

    async def deliver(self, name: str, queue: str, messages: list[Any], **given: float) -> Answer:
        """Invoke a function with messages; delete those that it does not name."""
        function = await self.function(name)
        answer = await function.invoke(sqs_event(PREFIX + queue, messages), **given)
        if answer.ok:
            url = (await self.raw.call("get_queue_url", QueueName=PREFIX + queue))["QueueUrl"]
            again = {failure["itemIdentifier"] for failure in answer.body["batchItemFailures"]}
            # What the function moved elsewhere is gone already: a batch tells that, and goes on.
            gone = [
                {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
                for number, message in enumerate(messages)
                if message["MessageId"] not in again
            ]
            if gone:
                await self.raw.call("delete_message_batch", QueueUrl=url, Entries=gone)
        return answer

    async def poll(self, name: str, queue: str) -> bool:
        """Deliver what is there; return whether there was anything."""
        messages = await self.receive(queue)
        if messages:
            assert (await self.deliver(name, queue, messages)).ok
        return bool(messages)


@pytest.fixture
async def cloud(
    aws: Emulator, bucket: str, migrated_dsn: str, mongodb_url: str, tmp_path: Path
) -> AsyncIterator[Cloud]:
    env = environment(
        migrated_dsn,
        tmp_path / "data",
        queue_url=f"sqs://{REGION}/{PREFIX}",
        store_url=bucket,
        database_connections=2,
        add_idle_s=0.1,
    )
    settings = Settings.load(
        data=tmp_path,
        database_url=migrated_dsn,
        queue_url=env["TRIPTYCH_QUEUE_URL"],
        store_url=bucket,
        embedder="none",
    )
    await migrate_database(settings)
    raw = AwsClient("sqs", REGION)
    for queue in QUEUES:
        for name in (queue, dlq(queue)):
            url = (await raw.call("get_queue_url", QueueName=PREFIX + name))["QueueUrl"]
            await raw.call("purge_queue", QueueUrl=url)
    async with AsyncExitStack() as stack, connect(settings, migrated_dsn) as parts:
        sweeping = {f"{KEPT}READS_URL": await kept_secret(mongodb_url)}
        yield Cloud(parts, {**os.environ, **env}, raw, stack, {}, sweeping)
    await raw.close()


@pytest.mark.aws
async def test_functions_alone_take_a_brand_through_all_phases(
    cloud: Cloud, mongodb: MongoConnection, site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 23)
    site.gone = {7}
    opened = await cloud.parts.registry.open("nike", source=source)
    async with asyncio.timeout(PATIENCE_S):
        while True:
            busy = [
                await cloud.poll(name, queue)
                for name, queue in (
                    ("gather", GATHER_QUEUE),
                    ("acquire", URL_QUEUE),
                    ("ai", AI_QUEUE),
                )
            ]
            run = await cloud.parts.stores.runs.run(opened.run.id)
            if run.ai_state is AiState.DONE:
                break
            assert run.state in {RunState.ACTIVE, RunState.COMMITTED}
            if not any(busy):
                await (await cloud.function("sweep")).invoke({})
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, 22, 1)
    # With the address that it has fetched, the one that sweeps copies what is committed.
    answer = await (await cloud.function("sweep")).invoke({})
    assert answer.body["ended"][-2:] == ["project", "index"]
    shown = await mongodb.database["brands"].find_one({"_id": "nike"})
    assert shown is not None
    assert shown["visible"]["run"] == str(run.id)
    edition = {"edition": shown["visible"]["edition"]}
    assert await mongodb.database["assets"].count_documents(edition) == 22
    assert not any([await cloud.receive(queue, wait_s=0) for queue in QUEUES])


async def test_the_sweep_reports_what_is_true_of_the_installation(
    cloud: Cloud, tmp_path: Path
) -> None:
    env = {**cloud.environment, "TRIPTYCH_EMF_NAMESPACE": "Triptych-test"}
    file = tmp_path / "log"
    with file.open("wb") as log:
        handler = "triptych.aws_lambda.handlers.sweep"
        async with LambdaProcess(handler, env, timeout_s=TIMEOUT_S, log=log) as sweep:
            for _ in range(2):
                answer = await sweep.invoke({})
                assert answer.body["ended"][:2] == ["sweep", "observe"]
    lines = [json.loads(line) for line in file.read_text().splitlines() if '"_aws"' in line]
    names = ("RunsStalled", "RunsHeld", "BrandsUnindexed", "IndexLagSeconds")
    assert [[line[name] for name in names] for line in lines] == [[0, 0, 0, 0]] * 2


async def urls(cloud: Cloud, site: Site, folder: Path, count: int) -> list[Any]:
    """Gather a brand of so many URLs; return their messages."""
    source = write_manifest(folder, site.base, "nike", count)
    await cloud.parts.registry.open("nike", source=source)
    assert await cloud.poll("gather", GATHER_QUEUE)
    return await cloud.receive(URL_QUEUE, limit=count)


async def test_one_bad_record_in_ten_comes_back_alone(
    cloud: Cloud, site: Site, tmp_path: Path
) -> None:
    site.failing = {3: 1}
    messages = await urls(cloud, site, tmp_path, 10)
    answer = await cloud.deliver("acquire", URL_QUEUE, messages)
    (bad,) = [m["MessageId"] for m in messages if m["Body"].count("/3.png")]
    assert answer.body == {"batchItemFailures": [{"itemIdentifier": bad}]}
    # It asked for no delay, so it is visible long before the 600 seconds it was received for.
    (again,) = await cloud.receive(URL_QUEUE, wait_s=10)
    assert again["MessageId"] == bad
    assert (await cloud.deliver("acquire", URL_QUEUE, [again])).body == {"batchItemFailures": []}


@pytest.mark.aws
async def test_g4_the_deadline_cuts_the_slow_and_keeps_what_is_durable(
    cloud: Cloud, site: Site, tmp_path: Path
) -> None:
    messages = await urls(cloud, site, tmp_path, 4)
    await cloud.deliver("acquire", URL_QUEUE, messages[:1])
    site.released = asyncio.Event()
    answer = await cloud.deliver("acquire", URL_QUEUE, messages[1:3], timeout_s=7.0)
    cut = {failure["itemIdentifier"] for failure in answer.body["batchItemFailures"]}
    assert cut == {message["MessageId"] for message in messages[1:3]}
    # With no time left nothing is begun.
    hits = site.hits
    answer = await cloud.deliver("acquire", URL_QUEUE, messages[3:], timeout_s=4.0)
    assert [f["itemIdentifier"] for f in answer.body["batchItemFailures"]] == [
        messages[3]["MessageId"]
    ]
    assert site.hits == hits
    site.released.set()
    returned = await cloud.receive(URL_QUEUE, wait_s=10)
    assert {m["MessageId"] for m in returned} == {m["MessageId"] for m in messages[1:]}
    assert (await cloud.deliver("acquire", URL_QUEUE, returned)).body == {"batchItemFailures": []}
    (run,) = await cloud.parts.stores.runs.runs("nike", limit=1)
    assert (run.state, run.done) == (RunState.COMMITTED, 4)


async def test_g4_an_invalid_message_is_recorded_as_a_dead_letter(
    cloud: Cloud,
) -> None:
    await cloud.parts.queue.send(URL_QUEUE, [Message({"brand": "nike"})])
    messages = await cloud.receive(URL_QUEUE)
    answer = await cloud.deliver("acquire", URL_QUEUE, messages)
    assert answer.body == {"batchItemFailures": []}
    dead = await cloud.receive(dlq(URL_QUEUE))
    assert "Field required" in dead[0]["MessageAttributes"][HEADER_REASON]["StringValue"]
    await cloud.deliver("dead_letters", dlq(URL_QUEUE), dead)
    database = Database(cloud.environment["TRIPTYCH_DATABASE_URL"])
    rows = await database.fetch("select message_id from dead_letters")
    assert [row["message_id"] for row in rows] == [messages[0]["MessageId"]]
    await database.close()


async def test_a_dead_letter_settles_its_item(cloud: Cloud, site: Site, tmp_path: Path) -> None:
    messages = await urls(cloud, site, tmp_path, 1)
    delivery = await cloud.deliver("dead_letters", dlq(URL_QUEUE), messages)
    assert delivery.ok
    (run,) = await cloud.parts.stores.runs.runs("nike", limit=1)
    assert (run.failed, run.reasons) == (1, {Reason.DEAD_LETTERED: 1})


@pytest.mark.parametrize("event", [{}, {"Records": []}, {"detail-type": "Scheduled Event"}])
async def test_an_event_of_another_kind_is_said(cloud: Cloud, event: dict[str, Any]) -> None:
    answer = await (await cloud.function("acquire")).invoke(event)
    assert not answer.ok
    assert "not an event of SQS" in answer.body["errorMessage"]


async def test_g4_an_unavailable_database_loses_no_message(
    cloud: Cloud, site: Site, tmp_path: Path
) -> None:
    messages = await urls(cloud, site, tmp_path, 1)
    cloud.environment["TRIPTYCH_DATABASE_URL"] = "postgresql://nobody@127.0.0.1:9/none"
    answer = await cloud.deliver("acquire", URL_QUEUE, messages)
    assert not answer.ok
    assert answer.body["errorType"] == "DatabaseUnavailable"
    again = await (await cloud.function("acquire")).invoke(sqs_event(PREFIX + URL_QUEUE, messages))
    assert again.body["errorType"] == "DatabaseUnavailable"


FORWARD = """
import json, os, urllib.request

def handler(event, context):
    request = urllib.request.Request(os.environ["FUNCTION"], json.dumps(event).encode())
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)
"""
"""What the emulator runs as a function: it hands the event on to ours, in AWS' runtime client."""


@pytest.mark.aws
async def test_an_event_source_mapping_returns_only_the_failed_record(
    cloud: Cloud, site: Site, tmp_path: Path
) -> None:
    function = await cloud.function("acquire")
    answers: list[tuple[int, int]] = []

    async def invoke(request: web.Request) -> web.Response:
        event = await request.json()
        answer = await function.invoke(event)
        assert answer.ok
        answers.append((len(event["Records"]), len(answer.body["batchItemFailures"])))
        return web.json_response(answer.body)

    app = web.Application()
    app.router.add_post("/", invoke)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()

    site.failing = {3: 1}
    source = write_manifest(tmp_path, site.base, "nike", 10)
    opened = await cloud.parts.registry.open("nike", source=source)
    assert await cloud.poll("gather", GATHER_QUEUE)
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", FORWARD)
    lambdas = AwsClient("lambda", REGION)
    place = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    await lambdas.call(
        "create_function",
        FunctionName="acquire",
        Runtime="python3.11",
        Role="arn:aws:iam::000000000000:role/any",
        Handler="index.handler",
        Timeout=60,
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"FUNCTION": place}},
    )
    mapping = await lambdas.call(
        "create_event_source_mapping",
        EventSourceArn=f"arn:aws:sqs:{REGION}:000000000000:{PREFIX}{URL_QUEUE}",
        FunctionName="acquire",
        BatchSize=10,
        FunctionResponseTypes=["ReportBatchItemFailures"],
    )
    try:
        async with asyncio.timeout(PATIENCE_S):
            async for run in watch(
                cloud.parts.stores.runs, cloud.parts.stores.changes, opened.run.id
            ):
                if run.state is RunState.COMMITTED:
                    break
    finally:
        await lambdas.call("delete_event_source_mapping", UUID=mapping["UUID"])
        await lambdas.close()
        await runner.cleanup()
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, 10, 0)
    assert sum(failed for _, failed in answers) == 1
    assert sum(records for records, _ in answers) == 11
    assert site.hits == 11
