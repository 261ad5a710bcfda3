"""What happens in a chaos trial, and when: a pure function of the seed and the shape."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum

from tests.support.chaos.poison import Poison
from triptych.messages import QUEUES, dead_letter_queue

CHAOS_S = 45.0
"""Seconds from the first action to the last one."""
FIRST_S = 3.0
"""Seconds until the first action: by then there is something to disturb."""
COMMITS_S = 12.0
"""Seconds before the end from which on runs become rare."""
OUTAGES = 3
"""Long outages in one schedule: each has a third of the time to itself."""
OUTAGE_SHARE = 0.4
"""An outage begins in this first share of its third: it is over when the next one begins."""


class ShapeName(StrEnum):
    """The two shapes that a trial runs in."""

    EMBEDDED = "embedded"
    AWS = "aws"


class Kind(StrEnum):
    """What an action does."""

    KILL_WORKER = "kill_worker"
    STOP_WORKER = "stop_worker"
    """SIGTERM: it drains."""
    FREEZE_WORKER = "freeze_worker"
    """SIGSTOP, and SIGCONT some seconds later."""
    KILL_IN_COMMIT = "kill_in_commit"
    """All workers are killed while one of them is inside a commit."""
    FREEZE_IN_COMMIT = "freeze_in_commit"
    KILL_API = "kill_api"
    STOP_API = "stop_api"
    KILL_LIVE = "kill_live"
    KILL_BACKEND = "kill_backend"
    """SIGKILL for one of Postgres' processes: Postgres ends all the others and recovers."""
    KILL_POSTMASTER = "kill_postmaster"
    CUT_CONNECTIONS = "cut_connections"
    """`pg_terminate_backend` for some connections."""
    DOUBLE_MESSAGES = "double_messages"
    """Copies of messages that are waiting or in flight are sent to the same queue."""
    POISON = "poison"
    HOST_DOWN = "host_down"
    """A host of pictures, or the catalogue, refuses connections."""
    HOST_SICK = "host_sick"
    """A host answers everything with an error for a moment."""
    KILL_UP = "kill_up"
    """Sometimes with one of Postgres' processes. A short command runs before the next start."""
    STOP_UP = "stop_up"
    """SIGTERM for `triptych up`, which is started again when it has ended."""
    KILL_ALL = "kill_all"
    """`triptych up` and all that it started, Postgres too; sometimes its pid file is emptied."""
    STOP_POSTMASTER = "stop_postmaster"
    """SIGTERM: Postgres waits for its sessions to end, and lets none in."""
    REMOVE_SOCKET = "remove_socket"
    """Postgres runs on, and no connection reaches it."""
    RUN_COMMAND = "run_command"
    """A short command on the same data folder."""
    STORE_AWAY = "store_away"
    """The folder of objects is renamed, and a file is in its place."""
    DISK_FULL = "disk_full"
    FREEZE_SERVICES = "freeze_services"
    """SIGSTOP for the emulator of SQS and S3."""


OFTEN: Mapping[ShapeName, Mapping[Kind, int]] = {
    ShapeName.EMBEDDED: {
        Kind.KILL_WORKER: 2,
        Kind.STOP_WORKER: 1,
        Kind.FREEZE_WORKER: 2,
        Kind.KILL_IN_COMMIT: 1,
        Kind.FREEZE_IN_COMMIT: 1,
        Kind.KILL_API: 1,
        Kind.STOP_API: 1,
        Kind.KILL_BACKEND: 1,
        Kind.KILL_POSTMASTER: 1,
        Kind.CUT_CONNECTIONS: 2,
        Kind.DOUBLE_MESSAGES: 5,
        Kind.HOST_SICK: 3,
        Kind.RUN_COMMAND: 2,
    },
    ShapeName.AWS: {
        Kind.KILL_WORKER: 3,
        Kind.STOP_WORKER: 1,
        Kind.FREEZE_WORKER: 2,
        Kind.KILL_IN_COMMIT: 1,
        Kind.FREEZE_IN_COMMIT: 1,
        Kind.KILL_API: 1,
        Kind.STOP_API: 1,
        Kind.KILL_LIVE: 1,
        Kind.KILL_BACKEND: 1,
        Kind.CUT_CONNECTIONS: 2,
        Kind.DOUBLE_MESSAGES: 5,
        Kind.HOST_SICK: 3,
    },
}
"""What every schedule has, and how often. Each kind of poison comes once besides."""

RARELY: Mapping[ShapeName, Sequence[Kind]] = {
    ShapeName.EMBEDDED: (
        *(Kind.HOST_DOWN, Kind.KILL_UP, Kind.STOP_UP, Kind.KILL_ALL, Kind.STORE_AWAY),
        *(Kind.DISK_FULL, Kind.STOP_POSTMASTER, Kind.REMOVE_SOCKET),
    ),
    ShapeName.AWS: (Kind.HOST_DOWN, Kind.FREEZE_SERVICES, Kind.KILL_POSTMASTER),
}
"""Long outages: a schedule has `OUTAGES` of them, one after another."""

SECONDS: Mapping[Kind, tuple[float, float]] = {
    Kind.FREEZE_WORKER: (1.0, 9.0),
    Kind.FREEZE_IN_COMMIT: (2.0, 9.0),
    Kind.KILL_UP: (0.3, 1.5),
    Kind.KILL_ALL: (0.1, 3.0),
    Kind.HOST_DOWN: (4.0, 15.0),
    Kind.HOST_SICK: (0.3, 0.6),
    Kind.STORE_AWAY: (3.0, 9.0),
    Kind.DISK_FULL: (2.0, 7.0),
    Kind.FREEZE_SERVICES: (2.0, 9.0),
}
"""How long an action lasts: the least and the most. After a kill of `up`, until it is started."""


@dataclass(frozen=True)
class Action:
    """One thing that happens."""

    at_s: float
    """Seconds since the trial's start."""
    kind: Kind
    seconds: float = 0.0
    """How long it lasts."""
    pick: int = 0
    """Which of the processes, hosts or connections that are there: modulo their number."""
    copies: int = 0
    """Copies of each message that is doubled."""
    queue: str = ""
    poison: Poison | None = None

    def __str__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)[2:]}
        shown = [f"{name}={value}" for name, value in given.items() if value]
        return " ".join([f"{self.at_s:5.1f} s  {self.kind}", *shown])


@dataclass(frozen=True)
class Schedule:
    """A trial's actions in the order of their times."""

    seed: int
    shape: ShapeName
    actions: tuple[Action, ...]

    def __str__(self) -> str:
        return "\n".join(map(str, self.actions))


def make_schedule(seed: int, shape: ShapeName) -> Schedule:
    """Return the schedule of a seed: the same on every machine and in every process."""
    dice = random.Random(f"{seed} {shape.value}")
    kinds = [kind for kind, times in OFTEN[shape].items() for _ in range(times)]
    drawn = [_action(dice, kind, dice.uniform(FIRST_S, _last_s(kind))) for kind in kinds]
    drawn += _outages(seed, dice, shape)
    drawn += _poisons(dice, shape)
    ordered = sorted(drawn, key=lambda action: (action.at_s, action.kind, action.queue))
    return Schedule(seed, shape, tuple(ordered))


def _last_s(kind: Kind) -> float:
    """Return when an action may begin at the latest: those that wait for a commit need one."""
    commits = kind in {Kind.KILL_IN_COMMIT, Kind.FREEZE_IN_COMMIT}
    return CHAOS_S - COMMITS_S if commits else CHAOS_S


def _outages(seed: int, dice: random.Random, shape: ShapeName) -> list[Action]:
    share = (CHAOS_S - FIRST_S) / OUTAGES
    # Seeds in a row take turns, so that a few of them have all kinds.
    turns = [(seed * OUTAGES + number) % len(RARELY[shape]) for number in range(OUTAGES)]
    kinds = [RARELY[shape][turn] for turn in turns]
    dice.shuffle(kinds)
    return [
        _action(dice, kind, FIRST_S + share * (number + dice.uniform(0, OUTAGE_SHARE)))
        for number, kind in enumerate(kinds)
    ]


def _poisons(dice: random.Random, shape: ShapeName) -> list[Action]:
    queues = [*QUEUES, *map(dead_letter_queue, QUEUES)]
    kinds = [poison for poison in Poison if poison.fits(aws=shape is ShapeName.AWS)]
    # Every queue gets some: the queues are dealt out, not drawn.
    dealt = (queues * (len(kinds) // len(queues) + 1))[: len(kinds)]
    dice.shuffle(dealt)
    return [
        Action(round(dice.uniform(FIRST_S, CHAOS_S), 1), Kind.POISON, queue=queue, poison=poison)
        for poison, queue in zip(kinds, dealt, strict=True)
    ]


def _action(dice: random.Random, kind: Kind, at_s: float) -> Action:
    least, most = SECONDS.get(kind, (0.0, 0.0))
    double = kind is Kind.DOUBLE_MESSAGES
    return Action(
        at_s=round(at_s, 1),
        kind=kind,
        seconds=round(dice.uniform(least, most), 1),
        pick=dice.randrange(1000),
        copies=dice.randint(1, 4) if double else 0,
        queue=dice.choice(QUEUES) if double and dice.random() < 0.3 else "",
    )
