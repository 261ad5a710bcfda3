"""What it costs to decode in processes of their own, against threads of this one.

``python -m bench.decoding`` runs both by turns, on the same pictures, with as many threads.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psutil

from bench.pictures import DIFFERENT, picture
from triptych.media.decode import Decoded, decode
from triptych.media.decoders import Decoders

ROUNDS = 7
PICTURES = 200
"""In one round."""
SIDE = 224
MAX_PIXELS = 100_000_000


@dataclass(frozen=True)
class Price:
    """Medians over the rounds."""

    rate: float
    """Pictures a second in threads."""
    kept_time: float
    """Share of that rate which processes of their own keep."""
    kept_cpu: float
    """The same by CPU-seconds, which hold on a machine that others use too."""


def isolation() -> Price:
    """Measure both ways by turns, each pair of rounds begun by the other one."""
    cores = os.cpu_count() or 1
    different = [picture(number) for number in range(DIFFERENT)]
    bodies = [different[number % DIFFERENT] for number in range(PICTURES)]
    decoders = Decoders(cores)

    def here(body: bytes) -> Decoded:
        return decode(body, size=SIDE, max_pixels=MAX_PIXELS)

    def there(body: bytes) -> Decoded:
        return decoders.decode(body, size=SIDE, max_pixels=MAX_PIXELS)

    times: list[float] = []
    cpus: list[float] = []
    rates: list[float] = []
    try:
        with ThreadPoolExecutor(cores) as pool:

            def spend(work: Callable[[bytes], Decoded]) -> tuple[float, float]:
                start, cpu = time.perf_counter(), cpu_s()
                list(pool.map(work, bodies))
                return time.perf_counter() - start, cpu_s() - cpu

            spend(here), spend(there)
            for number in range(ROUNDS):
                works = (here, there) if number % 2 else (there, here)
                spent = {work: spend(work) for work in works}
                times.append(spent[here][0] / spent[there][0])
                cpus.append(spent[here][1] / spent[there][1])
                rates.append(PICTURES / spent[here][0])
    finally:
        decoders.close()
    return Price(*(statistics.median(values) for values in (rates, times, cpus)))


def cpu_s() -> float:
    """Return the CPU-seconds of this process and of its living children."""
    ours = psutil.Process()
    spent = [process.cpu_times() for process in [ours, *ours.children()]]
    return sum(times.user + times.system for times in spent)


def main() -> None:
    """Print the price."""
    price = isolation()
    print(
        f"{price.rate:,.0f} pictures/s in threads; processes of their own keep "
        f"{price.kept_time:.1%} of that, by CPU-seconds {price.kept_cpu:.1%}"
    )


if __name__ == "__main__":
    sys.exit(main())
