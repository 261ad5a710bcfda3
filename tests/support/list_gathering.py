"""A process that reads a list as a gather worker does, and says what that took.

``python -m tests.support.list_gathering PATH``
"""

from __future__ import annotations

import asyncio
import json
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


def main() -> None:
    told = asyncio.run(gather(sys.argv[1]))
    # Not `ru_maxrss`, which has the peak of whoever started this process.
    status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    told["own_peak_bytes"] = int(status["VmHWM"].split()[0]) * 1024
    parser = resource.getrusage(resource.RUSAGE_CHILDREN)
    told["parser_peak_bytes"] = parser.ru_maxrss * 1024
    told["parser_cpu_s"] = parser.ru_utime + parser.ru_stime
    print(json.dumps(told))


if __name__ == "__main__":
    main()
