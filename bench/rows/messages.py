"""Row 5: the SQS adapter beside a bare loop; what is counted is the client's processor time."""

from __future__ import annotations

from collections.abc import Callable

from aws_local.emulator import Emulator

from bench.lanes import WORK, Contender, Lane, Spent, interleaved, laned
from bench.results import Aim, Entry, compared

ROW = 5
TITLE = "messages over SQS"
FULL = {"messages": 5_000, "rounds": 5}
REDUCED = {"messages": 200, "rounds": 1}
AIM = Aim("≤ 1.1", most=1.1)


def measure(size: dict[str, int], tell: Callable[[str], None]) -> list[Entry]:
    messages = size["messages"]

    def work(lane: Lane) -> Spent:
        return lane.run(messages=messages)

    with Emulator(WORK / "emulator") as emulator:
        environment = emulator.environment
        contenders = [
            Contender(
                name,
                "bench.ours.sqs",
                {"bare": name != "triptych"},
                environment=environment,
            )
            for name in ("triptych", "aiobotocore")
        ]
        spent = interleaved(laned(contenders, work), size["rounds"], tell)
    return [
        compared(
            ROW,
            f"{messages:,} messages sent, received and deleted on a local SQS",
            "bare aiobotocore, the same batches",
            "µs of client CPU a message",
            *([1e6 * s.cpu_s / messages for s in spent[c.name]] for c in contenders),
            aim=AIM,
            wall={c.name: [round(messages / s.wall_s) for s in spent[c.name]] for c in contenders},
        )
    ]
