"""The barrier in the AWS shape: killed workers, and partitions between them and what they need."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from urllib.parse import urlsplit
from uuid import UUID

import pytest
import pytest_asyncio
from aiohttp import web
from aws_local.cloud import PREFIX, Cloud, open_cloud
from aws_local.emulator import REGION

from tests.support.partition import Partition, open_partition
from tests.support.picture_server import serve_pictures, write_manifest
from tests.support.waiting import until
from triptych.client import Client, open_client
from triptych.database.session import Database
from triptych.messages import AI_QUEUE, GATHER_QUEUE, URL_QUEUE, Delivery, Headers, Message
from triptych.model import AiState, Run, RunState
from triptych.queues.sqs.sqs_queue import SqsQueue

pytestmark = [pytest.mark.aws, pytest.mark.xdist_group("aws-shape")]

URLS = 100
GONE = URLS // 50
QUICK = {
    "embedder": "none",
    "visibility_s": 5,
    "sweep_s": 0.5,
    "quiet_s": 3,
    "resend_s": 4,
    "outbox_s": 1,
    "max_receives": 1000,
    "dispatch_window": 20,
}
PATIENCE_S = 300.0
KILLS = 4


class Shape:
    """A cloud whose workers reach database and emulator through partitions."""

    def __init__(self) -> None:
        self.stack = AsyncExitStack()
        self.database: Partition
        self.services: Partition
        self.cloud: Cloud
        self.client: Client

    async def detour(self, environment: Mapping[str, str]) -> dict[str, str]:
        dsn = environment["TRIPTYCH_DATABASE_URL"]
        endpoint = environment["AWS_ENDPOINT_URL"]
        places = [urlsplit(dsn), urlsplit(endpoint)]
        made = []
        for place in places:
            assert place.hostname is not None
            assert place.port is not None
            opened = open_partition(place.hostname, place.port)
            made.append(await self.stack.enter_async_context(opened))
        self.database, self.services = made
        own = [f"127.0.0.1:{each.port}" for each in made]
        return {
            "TRIPTYCH_DATABASE_URL": dsn.replace(f"{places[0].hostname}:{places[0].port}", own[0]),
            "AWS_ENDPOINT_URL": f"http://{own[1]}",
        }

    async def run(self, brand: str, source: str, fault: Callable[[], object] | None = None) -> Run:
        """Take a brand through; do something once a fifth of it is settled."""
        opened = await self.client.start(brand, source=source)
        last = opened
        async with asyncio.timeout(PATIENCE_S):
            async for state in self.client.watch(opened.id):
                last = state
                if fault is not None and state.settled >= URLS // 5:
                    happening, fault = fault, None
                    result = happening()
                    if asyncio.iscoroutine(result):
                        await result
        return last


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shape(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shape]:
    made = Shape()
    async with made.stack as stack:
        folder = tmp_path_factory.mktemp("aws-shape")
        cloud = open_cloud(folder, settings=QUICK, detour=made.detour)
        made.cloud = await stack.enter_async_context(cloud)
        client = open_client(made.cloud.url, made.cloud.key)
        made.client = await stack.enter_async_context(client)
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sources(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callable[[str], str]]:
    """Pictures, and manifests of them by HTTP: files are for servers on loopback without keys."""
    folder = tmp_path_factory.mktemp("manifests")
    app = web.Application()
    app.router.add_static("/", folder)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with serve_pictures() as pictures:

        def source(brand: str) -> str:
            write_manifest(folder, pictures, brand, URLS)
            return f"manifest:http://127.0.0.1:{runner.addresses[0][1]}/{brand}.csv"

        yield source
    await runner.cleanup()


def right(run: Run) -> None:
    assert (run.state, run.ai_state) == (RunState.COMMITTED, AiState.DONE)
    assert (run.expected, run.done, run.failed) == (URLS, URLS - GONE, GONE)
    assert run.added == URLS - GONE


async def once(shape: Shape, run: Run) -> None:
    """Say that the run was committed once, and its AI phase done once."""
    database = Database(shape.cloud.database_url)
    rows = await database.fetch(
        "select kind, count(*) as count from timeline where run_id = $1 group by kind", run.id
    )
    counts = {row["kind"]: row["count"] for row in rows}
    await database.close()
    assert counts["committed"] == counts["ai_done"] == 1


@pytest.mark.asyncio(loop_scope="module")
async def test_g2_g4_workers_killed_while_they_work(
    shape: Shape, sources: Callable[[str], str]
) -> None:
    async def kill() -> None:
        for number in range(KILLS):
            worker = shape.cloud.workers[number % len(shape.cloud.workers)]
            worker.kill()
            await worker.wait()
            shape.cloud.workers.remove(worker)
            await shape.cloud.start_worker()

    run = await shape.run("killed", sources("killed"), kill)
    right(run)
    await once(shape, run)


async def out(queue: SqsQueue) -> dict[str, Delivery]:
    """Return half a window of messages at least, which stay where they are."""
    found: dict[str, Delivery] = {}
    while len(found) < QUICK["dispatch_window"] // 2:  # type: ignore[operator]
        some = await queue.receive(URL_QUEUE, limit=100, visibility_s=1, wait_s=5)
        found |= {delivery.id: delivery for delivery in some}
    return found


@pytest.mark.asyncio(loop_scope="module")
async def test_g2_g5_every_message_comes_again_and_late(
    shape: Shape, sources: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in shape.cloud.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    queue = SqsQueue(region=REGION, prefix=PREFIX)
    brand = "doubled"
    sent = [0]

    async def again(run_id: UUID) -> None:
        messages = [Message({"brand": brand}, Headers(run_id).encode(), brand)]
        for name in (GATHER_QUEUE, AI_QUEUE):
            await queue.send(name, messages * 3)

    async def double() -> None:
        # What they hold is given to others meanwhile: they come back late, too.
        for worker in shape.cloud.workers:
            worker.send_signal(signal.SIGSTOP)
        try:
            async with asyncio.timeout(PATIENCE_S):
                found = await out(queue)
            copies = [Message(each.body, each.headers, brand) for each in found.values()]
            await queue.send(URL_QUEUE, copies * 3)
            sent[0] = len(copies)
            run_id = Headers.decode(copies[0].headers).run_id
            assert run_id is not None
            await again(run_id)
        finally:
            for worker in shape.cloud.workers:
                worker.send_signal(signal.SIGCONT)

    run = await shape.run(brand, sources(brand), double)
    right(run)
    assert sent[0] >= 1
    await again(run.id)
    await until(
        queue.depths,
        lambda depths: not any(depth.waiting or depth.in_flight for depth in depths),
        patience_s=PATIENCE_S,
    )
    await queue.close()
    right(await shape.client.run(run.id))
    await once(shape, run)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("side", ["database", "services"])
@pytest.mark.parametrize("how", ["stall", "cut"])
async def test_g3_g4_a_partition_heals_without_loss(
    shape: Shape, sources: Callable[[str], str], side: str, how: str
) -> None:
    partition: Partition = getattr(shape, side)

    def part() -> None:
        getattr(partition, how)()
        # Longer than a visibility timeout: what workers hold is delivered to others meanwhile.
        asyncio.get_running_loop().call_later(2 * QUICK["visibility_s"], partition.heal)  # type: ignore[operator]

    brand = f"{side}-{how}"
    run = await shape.run(brand, sources(brand), part)
    right(run)
    await once(shape, run)
