"""A process that reads lists as a gather worker does, and says what each of them took.

``python -m tests.support.list_gathering`` reads the lists' paths from stdin and writes a line of
JSON for each. A list is read in a fork, whose peak and whose parser are that list's alone:
importing the program takes longer than reading most lists does.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections import Counter
from pathlib import Path

from triptych.errors import TriptychError
from triptych.fetch.guard import AddressGuard
from triptych.fetch.transport import TransportPool
from triptych.gather.phase import new_item
from triptych.gather.source_registry import SourceRegistry

BEAT_S = 0.01
PAGE_ROWS = 1000
PROBLEMS_SHOWN = 9


class Heart:
    """Beats in the event loop; the longest CPU time between two beats is how long it stood still.

    CPU time, as others use this machine too.
    """

    def __init__(self) -> None:
        self.longest_s = 0.0

    async def run(self) -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(BEAT_S)
            now = time.process_time()
            self.longest_s, last = max(self.longest_s, now - last), now


async def gather(place: str) -> dict[str, object]:
    transports = TransportPool(AddressGuard(), limit=1, user_agent="triptych-test")
    source = SourceRegistry.discover().open(
        f"manifest:{place}", transports=transports, token=None, page_rows=PAGE_ROWS
    )
    heart, error = Heart(), ""
    beating = asyncio.create_task(heart.run())
    rows, problems = Counter[str](), list[str]()
    try:
        async for page in source.pages("nike", None):
            for row in page.rows:
                item = None if row.refused else new_item(row)
                reason = item.refused.value if item and item.refused else "good"
                rows["refused" if item is None else reason] += 1
                if row.problem:
                    problems.append(f"{row.place}: {row.problem}")
    except TriptychError as refused:
        error = f"{type(refused).__name__}: {refused}"
    finally:
        beating.cancel()
        await transports.close()
    return {
        "error": error,
        "rows": rows,
        "problems": problems[:9],
        "stood_still_s": heart.longest_s,
    }


def measured(place: str) -> dict[str, object]:
    told = asyncio.run(gather(place))
    # Not `ru_maxrss`, which has the peak of whoever started this process.
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    told["own_peak_bytes"] = int(status["VmHWM"].split()[0]) * 1024
    parser = resource.getrusage(resource.RUSAGE_CHILDREN)
    told["parser_peak_bytes"] = parser.ru_maxrss * 1024
    told["parser_cpu_s"] = parser.ru_utime + parser.ru_stime
    return told


def main() -> None:
    SourceRegistry.discover()
    # What a list makes the program log goes where errors go.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    gc.freeze()  # A fork's collections would copy every page.
    for place in sys.stdin:
        threads = list(Path("/proc/self/task").iterdir())
        assert len(threads) == 1, "locks of another thread would be held for ever"
        pid = os.fork()
        if not pid:
            print(json.dumps(measured(place.rstrip("\n"))), file=answers, flush=True)
            return
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert not code, f"reading {place!r} ended with {code}"


if __name__ == "__main__":
    main()
