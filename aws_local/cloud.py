"""The whole AWS shape as processes on loopback: in AWS, ECS, SQS, S3, RDS, DocumentDB, the ALB."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from aws_local.balancer import LocalBalancer
from aws_local.child_server import HOST, free_port
from aws_local.database import served_database
from aws_local.emulator import REGION, Emulator
from aws_local.guard import Guard
from aws_local.mongodb import LocalMongo

BUCKET = "triptych-objects"
PREFIX = "triptych-local-"
APIS, LIVES, WORKERS = 2, 2, 3
READY_S = 120.0
STOP_S = 60.0
PROBE_S = 0.2
PHASES = ("gather", "acquire", "ai")
READ_BY_MONGODB = re.compile(
    r'^triptych_reads_total\{[^}]*source="mongodb"[^}]*\} (\S+)$', re.MULTILINE
)
"""The samples of a scrape that count what MongoDB has answered."""

Detour = Callable[[Mapping[str, str]], Awaitable[dict[str, str]]]


@dataclass
class Cloud:
    """A running cloud: where it is, and its processes."""

    url: str
    key: str
    """An operator's API key."""
    environment: dict[str, str]
    database_url: str
    folder: Path
    guard: Guard
    worker_environment: dict[str, str]
    """What workers alone are told otherwise: a detour to what they work on."""
    mongodb: LocalMongo
    """That immediate reads are answered from."""
    apis: list[str] = field(default_factory=list)
    """Addresses of the API processes themselves."""
    workers: list[Process] = field(default_factory=list)
    others: list[Process] = field(default_factory=list)

    async def start(self, name: str, *arguments: str, **environment: str) -> Process:
        """Start one of our processes; its log is ``NAME.log``."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "triptych", *arguments),
                env={**self.environment, **environment},
                stdin=DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us: what they need must outlive them.
            )
        self.guard.watch(process.pid)
        return process

    async def read_by_mongodb(self) -> int:
        """Return how many reads MongoDB has answered, of all API processes together."""
        headers = {"Authorization": f"Bearer {self.key}"}
        total = 0.0
        async with aiohttp.ClientSession(headers=headers) as session:
            for each in self.apis:
                async with session.get(f"{each}/metrics") as answer:
                    answer.raise_for_status()
                    text = await answer.text()
                total += sum(map(float, READ_BY_MONGODB.findall(text)))
        return int(total)

    async def start_worker(self) -> Process:
        """Start a worker of all phases."""
        arguments = ("worker", *PHASES, "--json")
        name = f"worker-{len(self.workers)}"
        worker = await self.start(name, *arguments, **self.worker_environment)
        self.workers.append(worker)
        return worker

    async def stop(self) -> None:
        """Stop all processes, workers first: they drain."""
        for processes in (self.workers, self.others):
            for process in processes:
                if process.returncode is None:
                    process.terminate()
            for process in processes:
                try:
                    await asyncio.wait_for(process.wait(), STOP_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()


@asynccontextmanager
async def open_cloud(
    folder: Path,
    *,
    port: int | None = None,
    workers: int = WORKERS,
    settings: Mapping[str, object] | None = None,
    detour: Detour | None = None,
) -> AsyncIterator[Cloud]:
    """Start everything and yield when it answers; stop everything at the end.

    ``detour`` is given the environment of all processes, and returns what workers are told instead.
    """
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        guard = stack.enter_context(Guard())
        emulator = Emulator(folder / "emulator", guard=guard)
        await asyncio.to_thread(emulator.start)
        stack.callback(emulator.stop)
        database_url = await stack.enter_async_context(served_database(folder / "database", guard))
        mongodb = LocalMongo(folder / "mongodb", guard=guard)
        await asyncio.to_thread(mongodb.start)
        stack.callback(mongodb.stop)
        knobs = {
            "data": folder / "data",
            "database_url": database_url,
            "sealing_key": secrets.token_urlsafe(48),
            "queue_url": f"sqs://{REGION}/{PREFIX}",
            "store_url": f"s3://{BUCKET}",
            "reads_url": mongodb.url,
            "fetch_allow": "127.0.0.0/8",
            # A name that is set asks for keys on loopback, too, as behind the balancer.
            "allowed_hosts": HOST,
            **(settings or {}),
        }
        ours = {f"TRIPTYCH_{name.upper()}": str(value) for name, value in knobs.items()}
        environment = {**os.environ, **emulator.environment, **ours}
        await _prepare(emulator, environment)
        balancer = LocalBalancer(folder / "balancer", port=port, guard=guard)
        key = await _key(environment)
        told = await detour(environment) if detour else {}
        cloud = Cloud(
            *(balancer.url, key, environment, database_url, folder, guard, told), mongodb=mongodb
        )
        stack.push_async_callback(cloud.stop)
        await _start(cloud, balancer, stack, workers)
        yield cloud


async def _prepare(emulator: Emulator, environment: dict[str, str]) -> None:
    place = f"<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint>"
    body = f"{place}</CreateBucketConfiguration>"
    async with (
        aiohttp.ClientSession() as session,
        session.put(f"{emulator.endpoint}/{BUCKET}", data=body) as answer,
    ):
        answer.raise_for_status()
    await _run(environment, "migrate")


async def _key(environment: dict[str, str]) -> str:
    made = await _run(environment, "keys", "create", "local", "--scope", "operator", "--json")
    token: str = json.loads(made)["token"]
    return token


async def _run(environment: dict[str, str], *arguments: str) -> bytes:
    """Run one of our commands to its end and return what it printed.

    Raises:
        RuntimeError: it failed.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "triptych", *arguments), env=environment, stdout=PIPE, stderr=PIPE
    )
    out, err = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"triptych {' '.join(arguments)} failed: {err.decode()}")
    return out


async def _start(
    cloud: Cloud, balancer: LocalBalancer, stack: AsyncExitStack, workers: int
) -> None:
    apis = [free_port() for _ in range(APIS)]
    lives = [free_port() for _ in range(LIVES)]
    cloud.apis = [f"http://{HOST}:{each}" for each in apis]
    for number, each in enumerate(apis):
        arguments: tuple[str, ...] = ("api", "--port", str(each), "--json")
        cloud.others.append(await cloud.start(f"api-{number}", *arguments))
    for number, each in enumerate(lives):
        arguments = ("live", "--port", str(each), "--json")
        cloud.others.append(await cloud.start(f"live-{number}", *arguments))
    for _ in range(workers):
        await cloud.start_worker()
    await balancer.start(apis, lives)
    stack.push_async_callback(balancer.stop)
    async with aiohttp.ClientSession() as session, asyncio.timeout(READY_S):
        for each in (*apis, *lives):
            await _ready(session, f"http://{HOST}:{each}/readyz", cloud)
        await _ready(session, f"{cloud.url}/readyz", cloud)


async def _ready(session: aiohttp.ClientSession, url: str, cloud: Cloud) -> None:
    while True:
        if dead := [p for p in (*cloud.others, *cloud.workers) if p.returncode is not None]:
            raise RuntimeError(
                f"{len(dead)} processes ended at once; see the logs in {cloud.folder}."
            )
        try:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass  # Not listening yet.
        await asyncio.sleep(PROBE_S)
