"""The AWS shape: what ECS runs, on the SQS, S3 and Postgres that `aws_local` has."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from aws_local.child_server import HOST, free_port
from aws_local.cloud import BUCKET, PHASES, PREFIX
from aws_local.database import served_database
from aws_local.emulator import REGION, Emulator
from aws_local.guard import Guard

from tests.support.chaos.processes import PostgresProcesses, Processes, Role
from tests.support.chaos.raw_queues import RawQueues, SqsMessages
from tests.support.chaos.record import Record
from tests.support.chaos.schedule import Action, Kind
from tests.support.chaos.service import Exit, Service
from tests.support.chaos.shape import QUICK, WORKERS, Own, Shape, settings_environment
from tests.support.chaos.trial_database import TrialDatabase
from tests.support.sealing import KEY
from triptych.queues.sqs.sqs_client import AwsClient

READY_S = 120.0
LOOK_S = 0.2
LEFT_S = 15.0
PAGE_KEYS = 1000
MAX_RECEIVES = 20


class AwsShape(Shape):
    """See `Shape`."""

    def __init__(self, folder: Path, record: Record, guard: Guard) -> None:
        self.folder = folder
        self.record = record
        self._guard = guard
        self._stack = AsyncExitStack()
        self._patch = pytest.MonkeyPatch()
        self._emulator = Emulator(folder / "emulator", guard=guard)
        home = folder / "home"
        home.mkdir()
        api, live = free_port(), free_port()
        self.url, self.live_url = f"http://{HOST}:{api}", f"ws://{HOST}:{live}/ws"
        self.key: str | None = None
        self._ports = {"api": api, "live": live}
        self._home = home
        self._address = ""
        self.database = TrialDatabase(lambda: self._address)
        self.processes = Processes(home)
        self.postgres = PostgresProcesses(folder / "database" / "postgres")
        self.queues: RawQueues
        self._environment: dict[str, str] = {}
        self._services: list[Service] = []
        self.own: Mapping[Kind, Own] = {
            Kind.KILL_LIVE: self._kill_live,
            Kind.FREEZE_SERVICES: self._freeze_services,
        }

    # --- start and stop ----------------------------------------------------------------------

    async def start(self, source: str) -> None:
        await asyncio.to_thread(self._emulator.start)
        for name, value in self._emulator.environment.items():
            self._patch.setenv(name, value)
        served = served_database(self.folder / "database", self._guard)
        self._address = await self._stack.enter_async_context(served)
        knobs = {
            **QUICK,
            "data": self.folder / "data",
            "database_url": self._address,
            "sealing_key": KEY,
            "queue_url": f"sqs://{REGION}/{PREFIX}",
            "store_url": f"s3://{BUCKET}",
            "source": source,
            "max_receives": MAX_RECEIVES,
            # A name that is set asks for keys on loopback, too, as behind the balancer.
            "allowed_hosts": HOST,
        }
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("TRIPTYCH_")},
            "HOME": str(self._home),
            **settings_environment(knobs),
        }
        self.queues = SqsMessages(PREFIX, self.database)
        await self._prepare()
        self._serve()
        async with aiohttp.ClientSession() as session, asyncio.timeout(READY_S):
            for port in self._ports.values():
                while not await _answers(session, f"http://{HOST}:{port}/readyz"):
                    await asyncio.sleep(LOOK_S)

    async def _prepare(self) -> None:
        client = AwsClient("s3", REGION)
        place = {"LocationConstraint": REGION}
        await client.call("create_bucket", Bucket=BUCKET, CreateBucketConfiguration=place)
        await client.close()
        await self._command("migrate")
        made = await self._command("keys", "create", "trial", "--scope", "operator", "--json")
        self.key = json.loads(made)["token"]

    async def _command(self, *arguments: str) -> bytes:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "triptych", *arguments),
            env=self._environment,
            stdout=PIPE,
            stderr=PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out

    def _serve(self) -> None:
        commands = [
            ("api", ["api", "--port", str(self._ports["api"]), "--json"]),
            ("live", ["live", "--port", str(self._ports["live"]), "--json"]),
            *((f"worker-{n}", ["worker", *PHASES, "--json"]) for n in range(WORKERS)),
        ]
        for name, arguments in commands:
            service = Service(
                *(name, arguments),
                environment=self._environment,
                log=self.folder / f"{name}.log",
                guard=self._guard,
            )
            service.start()
            self._services.append(service)

    async def stop(self) -> list[str]:
        codes = await asyncio.gather(*(service.stop() for service in self._services))
        wrong = [
            f"{service.name}: exit {code} after SIGTERM"
            for service, code in zip(self._services, codes, strict=True)
            if code != 0
        ]
        left = await asyncio.to_thread(self.processes.left, LEFT_S)
        return wrong + [f"process left: {each}" for each in left]

    async def clean(self, *, keep: bool) -> None:
        async with AsyncExitStack() as stack:
            stack.callback(self._patch.undo)
            stack.push_async_callback(asyncio.to_thread, self._emulator.stop)
            stack.push_async_callback(self._stack.aclose)
            stack.push_async_callback(asyncio.to_thread, self._end_all)
            for service in self._services:
                stack.push_async_callback(service.stop)
            if hasattr(self, "queues"):
                await self.queues.close()

    def _end_all(self) -> None:
        for found in self.processes.find():
            self.processes.send(found, signal.SIGKILL)
        self.processes.left(LEFT_S)

    # --- what it has -------------------------------------------------------------------------

    def exits(self) -> list[Exit]:
        return [each for service in self._services for each in service.exits]

    def logs(self) -> Iterable[Path]:
        return [self.folder / f"{service.name}.log" for service in self._services]

    async def objects(self) -> dict[str, bytes]:
        client = AwsClient("s3", REGION)
        try:
            found: dict[str, bytes] = {}
            more: dict[str, str] = {}
            while True:
                page = await client.call(
                    "list_objects_v2", Bucket=BUCKET, MaxKeys=PAGE_KEYS, **more
                )
                for each in page.get("Contents", ()):
                    answer = await client.call("get_object", Bucket=BUCKET, Key=each["Key"])
                    found[each["Key"]] = await answer["Body"].read()
                if not page.get("IsTruncated"):
                    return found
                more = {"ContinuationToken": page["NextContinuationToken"]}
        finally:
            await client.close()

    # --- what it suffers ---------------------------------------------------------------------

    async def _kill_live(self, _action: Action) -> str:
        killed = [
            each.pid
            for each in self.processes.find(Role.LIVE)
            if self.processes.send(each, signal.SIGKILL)
        ]
        self.record.kills[Role.LIVE] += len(killed)
        return f"killed live {killed}"

    async def _freeze_services(self, action: Action) -> str:
        pid = self._emulator.pid
        assert pid is not None
        with self.record.outage():
            os.kill(pid, signal.SIGSTOP)
            try:
                await asyncio.sleep(action.seconds)
            finally:
                os.kill(pid, signal.SIGCONT)
        return "thawed SQS and S3"


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
