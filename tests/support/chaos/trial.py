"""One trial: a seed in a shape, from its start to the check of what it left behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from aws_local.guard import Guard

from tests.support.chaos.actions import Actions
from tests.support.chaos.aws_shape import AwsShape
from tests.support.chaos.brands import Way, make_brands
from tests.support.chaos.commit_gate import CommitGate
from tests.support.chaos.embedded_shape import EmbeddedShape
from tests.support.chaos.evidence import Evidence, Expected, read_letters, read_rows
from tests.support.chaos.invariants import INVARIANTS, OF_PROCESSES, broken
from tests.support.chaos.origin import Answer, open_origin
from tests.support.chaos.patient_api import PatientApi, open_patient_api
from tests.support.chaos.reader import Reader
from tests.support.chaos.record import Record
from tests.support.chaos.schedule import Schedule, ShapeName, make_schedule
from tests.support.chaos.seeds import VARIABLE
from tests.support.chaos.shape import Shape
from tests.support.chaos.submitter import Submitter
from tests.support.chaos.subscriber import BRAND, RUN, Subscriber

SETTLED_S = 120.0
"""Seconds after the last action in which everything must have come to its end."""
LOOK_S = 0.5
QUIET_LOOKS = 3
"""Looks in a row that must find nothing under way."""
TRIAL_S = 480.0
"""Hard deadline of all."""
SHAPES: dict[ShapeName, Callable[[Path, Record, Guard], Shape]] = {
    ShapeName.EMBEDDED: EmbeddedShape,
    ShapeName.AWS: AwsShape,
}
UNDER_WAY = """
select (select count(*) from runs where state = 'active') as active,
       (select count(*) from runs where state = 'committed'
        and ai_state in ('none', 'queued', 'running')) as ai,
       (select count(*) from outbox) as owed
"""


@dataclass
class Report:
    """What a trial did and found."""

    schedule: Schedule
    folder: Path
    record: Record
    violations: list[str] = field(default_factory=list)
    figures: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    """When each part of the trial was over."""

    def __str__(self) -> str:
        shape, seed = self.schedule.shape, self.schedule.seed
        figures = ", ".join(f"{count} {name}" for name, count in self.figures.items())
        seconds = ", ".join(f"{name} {at:.0f} s" for name, at in self.seconds.items())
        parts = [f"chaos in the {shape} shape, seed {seed}: {figures}; {seconds}"]
        if self.violations:
            parts += [
                f"{len(self.violations)} violations:",
                *(f"  {each}" for each in self.violations),
                "what was done:",
                *(f"  {line}" for line in self.record.lines),
                f"data and logs: {self.folder}",
                f"again: {VARIABLE}={seed} .venv/bin/pytest -m prove tests/chaos/test_{shape}.py",
            ]
        return "\n".join(parts)


class Trial:
    """A shape, the web around it, and those who watch."""

    def __init__(self, seed: int, name: ShapeName, folder: Path) -> None:
        self._folder = folder
        self._schedule = make_schedule(seed, name)
        self._brands = make_brands(seed)
        self._report = Report(self._schedule, folder, Record())
        self._keep = True
        self._began = time.monotonic()

    async def run(self) -> Report:
        """Run it, and return what it found."""
        async with AsyncExitStack() as stack:
            guard = stack.enter_context(Guard())
            origin = await stack.enter_async_context(open_origin(self._brands))
            shape = SHAPES[self._schedule.shape](self._folder, self._report.record, guard)
            stack.push_async_callback(self._clean, shape)
            try:
                async with asyncio.timeout(TRIAL_S):
                    await shape.start(origin.catalog)
                    api = await stack.enter_async_context(open_patient_api(shape.url, shape.key))
                    self._over("started")
                    await self._watched(shape, origin, api)
            except TimeoutError:
                parts = list(self._report.seconds) or ["nothing: it did not start in time"]
                self._violates(f"the trial did not come to its end; over was {', '.join(parts)}")
                self._report.violations = list(self._report.record.violations)
            self._keep = bool(self._report.violations)
        return self._report

    async def _clean(self, shape: Shape) -> None:
        await shape.clean(keep=self._keep)

    async def _watched(self, shape: Shape, origin: Answer, api: PatientApi) -> None:
        names = [brand.name for brand in self._brands]
        reader = Reader(api, names)
        subscriber = Subscriber(shape.live_url, shape.key)
        submitter = Submitter(shape, origin, api, lambda opened: subscriber.follow_run(opened.run))
        subscriber.follow_brands(names)
        reading = asyncio.create_task(reader.read())
        evidence, invariants = Evidence(self._report.record), INVARIANTS
        violations: list[str] = []
        try:
            await self._until_settled(shape, origin, submitter)
            self._over("settled")
            evidence.expected = self._expected(origin, submitter)
            await self._gather(evidence, shape, api)
            violations += await subscriber.until(lambda: _differs(subscriber, evidence))
        except TimeoutError:
            self._violates("the database could not be read: only processes and logs were checked")
            invariants = OF_PROCESSES
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            await subscriber.close()
        evidence.walks = reader.walks
        violations += reader.violations + subscriber.violations + await shape.stop()
        evidence.exits = shape.exits()
        for path in shape.logs():
            evidence.log += path.read_text(errors="replace").splitlines()
        violations += broken(evidence, invariants)
        self._report.violations = [*self._report.record.violations, *violations]
        self._count(evidence, reader, origin)
        self._over("checked")

    async def _until_settled(self, shape: Shape, origin: Answer, submitter: Submitter) -> None:
        """Do all of the schedule and bring in all brands; then wait until nothing is under way."""
        gate = CommitGate(shape.database)
        await gate.install()
        began = asyncio.get_running_loop().time()
        shape.record.began = time.time()
        bringing = {
            asyncio.create_task(submitter.bring_in(brand, began), name=brand.name)
            for brand in self._brands
        }
        try:
            await Actions(shape, origin, gate).carry_out(self._schedule, began)
            self._over("chaos")
            async with asyncio.timeout(SETTLED_S):
                await asyncio.gather(*bringing)
                quiet = 0
                while quiet < QUIET_LOOKS:
                    await asyncio.sleep(LOOK_S)
                    quiet = 0 if await self._under_way(shape) else quiet + 1
        except TimeoutError:
            late = sorted(task.get_name() for task in bringing if not task.done())
            self._violates(
                f"not settled {SETTLED_S:.0f} s after the last action"
                + (f", runs that have not ended: {late}" if late else "")
            )
        finally:
            for task in bringing:
                task.cancel()
            await asyncio.gather(*bringing, return_exceptions=True)

    def _over(self, part: str) -> None:
        self._report.seconds[part] = time.monotonic() - self._began

    def _violates(self, text: str) -> None:
        self._report.record.violations.append(text)

    async def _under_way(self, shape: Shape) -> bool:
        (row,) = await shape.database.fetch(UNDER_WAY)
        if any(row.values()) or await shape.queues.left():
            return True
        # A brand that came by a message is there as soon as that was read.
        known = {row["name"] for row in await shape.database.fetch("select name from brands")}
        return not {brand.name for brand in self._brands} <= known

    def _expected(self, origin: Answer, submitter: Submitter) -> list[Expected]:
        by_api = [
            Expected(
                each.brand.name,
                each.run,
                origin.expected(each.brand, each.revision),
                frozenset(origin.may_fail(each.brand, each.revision)),
            )
            for each in submitter.submitted
        ]
        by_message = [
            Expected(
                brand.name,
                None,
                origin.expected(brand, 0),
                frozenset(origin.may_fail(brand, 0)),
            )
            for brand in self._brands
            if brand.way is not Way.API
        ]
        return by_api + by_message

    async def _gather(self, evidence: Evidence, shape: Shape, api: PatientApi) -> None:
        await read_rows(evidence, shape.database)
        evidence.queues = await shape.queues.left()
        evidence.objects = await shape.objects()
        try:
            evidence.letters = await read_letters(api)
        except TimeoutError:
            self._violates("the API does not list the dead letters")

    def _count(self, evidence: Evidence, reader: Reader, origin: Answer) -> None:
        self._report.figures = {
            "actions": len(self._report.record.lines),
            "faults of hosts": origin.faults,
            "copies": self._report.record.doubled,
            "poisons": len(self._report.record.poisons),
            "runs": len(evidence.runs),
            "assets": sum(map(len, evidence.assets.values())),
            "objects": len(evidence.objects),
            "walks": len(reader.walks),
            "walks given up": reader.given_up,
        }


def _differs(subscriber: Subscriber, evidence: Evidence) -> list[str]:
    """Return where what was heard last is not what the database holds."""
    runs = {run.id: run for run in evidence.runs}
    found = []
    for run_id, seqs in subscriber.events.items():
        row, heard = runs.get(run_id), subscriber.states.get(f"{RUN}{run_id}")
        if row is None or heard is None:
            found.append(f"live status: run {run_id}: row {row}, heard {heard}")
            continue
        said = (heard["state"], heard["version"], heard["done"], heard["ai_state"])
        if said != (row.state, row.version, row.done, row.ai_state):
            found.append(f"live status: {row}: heard {said}, version {row.version} is {row.state}")
        if seqs != list(range(1, row.seq + 1)):
            found.append(f"live status: {row}: seq {row.seq}, heard {seqs}")
    for name, current in evidence.brands.items():
        heard = subscriber.states.get(f"{BRAND}{name}")
        last = _uuid(heard["current_run"]) if heard is not None else None
        if last != current:
            found.append(f"live status: {name}: heard {last}, its snapshot is {current}")
    return found


def _uuid(text: str | None) -> UUID | None:
    return None if text is None else UUID(text)
