"""Workers as processes of their own on a real database, which can be killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.cli_process import forks
from tests.support.command_forks import Fork
from tests.support.registry_harness import RegistryHarness, open_registry_harness
from tests.support.sealing import KEY
from triptych.database.session import Database
from triptych.messages import QUEUES
from triptych.model import AiState, Run, RunState
from triptych.settings.settings import Settings

URLS = 200
MISSING = URLS // 50
"""`serve_pictures` lacks every 50th."""


def environment(dsn: str, data: Path, **settings: object) -> dict[str, str]:
    """Return a worker's environment: quick to notice what is lost."""
    knobs: dict[str, object] = {
        "database_url": dsn,
        "data": data,
        "embedder": "none",
        "decoders": 1,
        "sealing_key": KEY,
        "fetch_allow": "127.0.0.0/8",
        # Tests open runs at the registry, which notes nobody who has named the list.
        "source_folders": "/",
        "api_rate": 100_000,
        "api_burst": 100_000,
        "visibility_s": 4,
        "sweep_s": 0.5,
        "quiet_s": 1.5,
        "resend_s": 2,
        "outbox_s": 1,
        "max_receives": 1000,
        **settings,
    }
    ours = {f"TRIPTYCH_{name.upper()}": str(value) for name, value in knobs.items()}
    inherited = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    return {**inherited, **ours}


TO_COMMIT = ("gather", "acquire")
"""The phases of a worker that takes runs to their commit: what the AI phase loads takes seconds."""


class Workers:
    """Worker processes that are killed without warning and started again.

    They are forks, which start in a tenth of the time; ``interpreters`` of their own where their
    memory is measured.
    """

    def __init__(
        self,
        count: int,
        env: dict[str, str],
        rng: random.Random,
        phases: tuple[str, ...] = ("gather", "acquire", "ai"),
        *,
        interpreters: bool = False,
    ) -> None:
        self._count = count
        self._env = env
        self._rng = rng
        self._phases = phases
        self._interpreters = interpreters
        self.processes: list[Process | Fork] = []
        self.kills = 0

    async def __aenter__(self) -> Workers:
        for _ in range(self._count):
            self.processes.append(await self._spawn())
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                await process.wait()
                raise

    async def _spawn(self) -> Process | Fork:
        arguments = ("worker", *self._phases)
        may_fork = sys.platform == "linux" and "TRIPTYCH_TEST_SHOW" not in os.environ
        if may_fork and not self._interpreters:
            forked = await forks().start_silent(arguments, self._env, Path.cwd())
            if forked is not None:
                return forked
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "triptych", *arguments),
            env=self._env,
            stdout=DEVNULL,
            stderr=None if "TRIPTYCH_TEST_SHOW" in os.environ else DEVNULL,
            start_new_session=True,
        )

    async def kill_one(self) -> None:
        """SIGKILL a worker at whatever it is doing, and start another in its place."""
        number = self._rng.randrange(self._count)
        self.processes[number].kill()
        await self.processes[number].wait()
        self.kills += 1
        self.processes[number] = await self._spawn()


async def duplicate_messages(database: Database, share: float) -> None:
    """From now on let the queues deliver that share of messages twice."""
    for queue in QUEUES:
        await database.fetch(
            f"""
            create or replace function "duplicate {queue}"() returns trigger language plpgsql as $$
            begin
                insert into pgmq."q_{queue}" (vt, message, headers)
                values (clock_timestamp(), new.message, new.headers);
                return null;
            end
            $$"""
        )
        await database.fetch(
            f"""
            create trigger duplicate after insert on pgmq."q_{queue}" for each row
            when (pg_trigger_depth() = 0 and random() < {share})
            execute function "duplicate {queue}"()"""
        )


@asynccontextmanager
async def open_workers_harness(dsn: str) -> AsyncIterator[RegistryHarness]:
    """The registry that worker processes share: a message may come back as often as they die."""
    policy = Settings.load().policy
    async with open_registry_harness(dsn, max_receives=1000, policy=policy) as harness:
        yield harness


async def assert_committed_once(harness: RegistryHarness, runs: list[Run]) -> None:
    """Check runs of ``URLS`` URLs of `serve_pictures`: each is committed once, nothing is left."""
    for run in runs:
        assert run.state is RunState.COMMITTED, run
        assert (run.expected, run.done, run.failed) == (URLS, URLS - MISSING, MISSING)
        assert run.reasons == {"not_found": MISSING}
        assert run.ai_state is AiState.DONE
        events = await harness.stores.runs.timeline(run.id, after=0, limit=10_000)
        kinds = Counter(event.kind for event in events)
        assert (kinds["committed"], kinds["ai_done"]) == (1, 1)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assets = await harness.stores.snapshots.assets(run.id, after=None, limit=10_000)
        assert len({asset.url for asset in assets}) == len(assets) == URLS - MISSING
    assert not await harness.database.fetch("select 1 from staged limit 1")
    assert not await harness.database.fetch("select 1 from items where state = 'pending' limit 1")
    assert not await harness.database.fetch("select 1 from outbox limit 1")
