"""What it costs to decode in processes of their own, against threads of this one.

``python -m bench.decoding`` runs both by turns, on the same pictures, with as many threads.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial

from bench.lanes import interleaved
from bench.pictures import DIFFERENT, picture
from bench.spending import cpu_s
from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.media.decoders import Decoders

ROUNDS = 7
PICTURES = 200
"""In one round."""
SIDE = 224
MAX_PIXELS = 100_000_000


def main() -> None:
    """Print how many pictures a second threads decode, and what share processes of their own keep.

    By CPU-seconds that share holds on a machine that others use, too.
    """
    different = [picture(number) for number in range(DIFFERENT)]
    bodies = [different[number % DIFFERENT] for number in range(PICTURES)]
    cores = os.cpu_count() or 1
    with closing(Decoders(cores)) as decoders, ThreadPoolExecutor(cores) as pool:
        transports: dict[str, Callable[..., Decoded]] = {"here": decode, "there": decoders.decode}

        def spend(way: str) -> tuple[float, float]:
            start, cpu = time.perf_counter(), cpu_s(os.getpid())
            list(pool.map(partial(transports[way], size=SIDE, max_pixels=MAX_PIXELS), bodies))
            return time.perf_counter() - start, cpu_s(os.getpid()) - cpu

        works = {way: partial(spend, way) for way in transports}
        interleaved(works, 1, lambda _: None)
        here, there = interleaved(works, ROUNDS, lambda _: None).values()
    pairs = list(zip(here, there, strict=True))
    kept_s, kept_cpu = (
        statistics.median(one[n] / other[n] for one, other in pairs) for n in (0, 1)
    )
    rate = PICTURES / statistics.median(seconds for seconds, _ in here)
    print(
        f"{rate:,.0f} pictures/s in threads; processes of their own keep {kept_s:.1%} of that, "
        f"by CPU-seconds {kept_cpu:.1%}"
    )


if __name__ == "__main__":
    main()
