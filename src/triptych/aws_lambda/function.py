"""The life of a Lambda function: opened at its first invocation and frozen between invocations.

One event loop lives as long as the process. Nothing runs between two invocations, so none of them
leaves work unfinished: a phase returns when its effect is durable, the buffer flushes when no item
of its run is unfinished, and late messages are returned to the queue.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Generic, TypeVar

import structlog

from triptych.aws_lambda.events import Context, deliveries, failures, seconds_left
from triptych.aws_lambda.secret_settings import secret_settings
from triptych.errors import ReadsUnavailable, SettingsError
from triptych.messages import Phase
from triptych.settings.addresses import read_sqs
from triptych.settings.settings import Settings
from triptych.telemetry.cloudwatch_metrics import MetricLines, write_line
from triptych.wiring.services import Services, connect
from triptych.wiring.worker_process import (
    MaintenanceJobs,
    dead_letter_handler,
    open_maintenance,
    open_phase_handlers,
)
from triptych.workers.batch import serve_batch
from triptych.workers.catalogue_metrics import (
    forget_catalogue,
    observe_catalogue,
    observe_reads,
)
from triptych.workers.limited_handle import limited
from triptych.workers.message_processor import Handle
from triptych.workers.projector import Projector
from triptych.workers.worker import PhaseHandler

PROJECT_SHARE = 0.6
"""Of the time that an invocation has left, at most, for what goes to MongoDB."""
IDLE_S = 30.0
"""Seconds after which connections are replaced: a frozen process does not notice closed ones."""
STALLED_MAX = 100
"""Runs looked at in one invocation, to see whether they are stalled."""

log = structlog.get_logger(__name__)

T = TypeVar("T")
Open = Callable[[Services], AbstractAsyncContextManager[T]]


class Function(Generic[T]):
    """Keeps what ``opened`` yields between invocations; tries again after a failure to open."""

    def __init__(self, opened: Open[T]) -> None:
        self._opened = opened
        self._runner = asyncio.Runner()
        self._stack: AsyncExitStack | None = None
        self._kept: tuple[Services, T] | None = None
        self._last = 0.0
        self._lines: MetricLines | None = None

    def run(self, work: Callable[[Services, T], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Do one invocation's work."""
        return self._runner.run(self._run(work))

    async def _run(
        self, work: Callable[[Services, T], Awaitable[dict[str, Any]]]
    ) -> dict[str, Any]:
        if self._kept is None:
            self._kept = await self._open()
        elif time.time() - self._last > IDLE_S:
            await self._kept[0].renew()
        try:
            answer = await work(*self._kept)
        finally:
            self._last = time.time()
        if self._lines is not None:
            self._lines.flush()
        return answer

    async def _open(self) -> tuple[Services, T]:
        settings = Settings.load(**await secret_settings(os.environ))
        if settings.embedded or not settings.queue_url.startswith("sqs:"):
            raise SettingsError(
                "A Lambda function needs SQS and an external database.",
                field="TRIPTYCH_QUEUE_URL",
                remedy="Set TRIPTYCH_QUEUE_URL=sqs: and TRIPTYCH_DATABASE_URL.",
            )
        async with AsyncExitStack() as stack:
            dsn = settings.database_url.get_secret_value()
            services = await stack.enter_async_context(connect(settings, dsn))
            kept = await stack.enter_async_context(self._opened(services))
            self._stack = stack.pop_all()
            if settings.emf_namespace:
                self._lines = MetricLines(settings.emf_namespace, write_line)
            return services, kept

    def close(self) -> None:
        """Close everything. Lambda never calls this: it kills the process."""
        if self._stack is not None:
            self._runner.run(self._stack.aclose())
            self._stack = self._kept = None
        self._runner.close()


class PhaseFunction:
    """A function that serves one phase's queue."""

    def __init__(self, phase: Phase) -> None:
        @asynccontextmanager
        async def opened(services: Services) -> AsyncIterator[PhaseHandler]:
            async with open_phase_handlers(services, [phase]) as (handler,):
                yield handler

        self.function: Function[PhaseHandler] = Function(opened)

    def __call__(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Serve a batch; answer with the messages that must come again.

        What operators have paused or limited is read at each invocation.
        """

        async def work(services: Services, handler: PhaseHandler) -> dict[str, Any]:
            handle = limited(handler, await services.stores.limits.limits())
            return await _serve(services, handle, event, context)

        return self.function.run(work)


class DeadLetterFunction:
    """A function that serves all three dead-letter queues."""

    def __init__(self) -> None:
        @asynccontextmanager
        async def opened(services: Services) -> AsyncIterator[Handle]:
            yield dead_letter_handler(services)

        self.function: Function[Handle] = Function(opened)

    def __call__(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Serve a batch; answer with the messages that must come again."""

        async def work(services: Services, handle: Handle) -> dict[str, Any]:
            return await _serve(services, handle, event, context)

        return self.function.run(work)


class SweepFunction:
    """A scheduled function: does once, within the invocation, what workers do in loops."""

    def __init__(self) -> None:
        self.function: Function[MaintenanceJobs] = Function(open_maintenance)

    def __call__(self, _event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Sweep, deliver webhooks, collect, index and project, for as long as there is time."""

        async def work(services: Services, maintenance: MaintenanceJobs) -> dict[str, Any]:
            return await _maintain(services, maintenance, context)

        return self.function.run(work)


async def _serve(
    services: Services, handle: Handle, event: Mapping[str, Any], context: Context
) -> dict[str, Any]:
    _, prefix = read_sqs(services.settings.queue_url)
    found = deliveries(event, prefix)
    again = await serve_batch(
        services.queue, found[0].queue, handle, found, within_s=seconds_left(context)
    )
    log.info("batch_served", queue=found[0].queue, messages=len(found), again=len(again))
    return failures(again)


async def _maintain(
    services: Services, maintenance: MaintenanceJobs, context: Context
) -> dict[str, Any]:
    """Do what is due; the next invocation does what there is no time for.

    It is the one process on AWS that reads the gauges of the whole installation, once a minute: an
    alarm rings when they are missing.
    """
    ended = []
    stores = services.stores
    forget_catalogue()
    with suppress(TimeoutError):
        async with asyncio.timeout(max(seconds_left(context), 0)):
            await maintenance.sweeper.sweep()
            ended.append("sweep")
            after_s = services.settings.stalled_s
            held_up = await stores.limits.held_up(within_s=after_s)
            await stores.runs.mark_stalled(after_s=after_s, limit=STALLED_MAX, held_up=held_up)
            await observe_catalogue(stores.runs, stores.search)
            ended.append("observe")
            while await maintenance.notifier.deliver():
                pass
            ended.append("notify")
            await maintenance.collector.turn()
            ended.append("collect")
            # For a part of the time: a large brand is gone on with by the next invocation.
            if maintenance.projector is not None and await _project(
                maintenance.projector, within_s=PROJECT_SHARE * seconds_left(context)
            ):
                ended.append("project")
            await maintenance.indexer.catch_up()
            ended.append("index")
    log.info("care_taken", ended=ended)
    return {"ended": ended}


async def _project(projector: Projector, *, within_s: float) -> bool:
    """Project what is behind; False if it was not all.

    If MongoDB is away, Postgres answers reads.
    """
    try:
        observe_reads(await projector.behind())
        async with asyncio.timeout(max(within_s, 0)):
            await projector.catch_up()
    except TimeoutError:
        return False
    except ReadsUnavailable as error:
        log.warning("projection_waits", error=str(error))
        return False
    return True
