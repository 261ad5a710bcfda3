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

from bench.pictures import DIFFERENT, picture
from triptych.media.decode import Decoded, decode
from triptych.media.decoders import Decoders

ROUNDS = 9
PICTURES = 300
"""In one round."""
SIDE = 224
MAX_PIXELS = 100_000_000


def isolation() -> tuple[float, float]:
    """Return pictures a second in threads, and the share of it that processes of their own keep.

    Rounds by turns, each pair begun by the other, and the median of the pairs' ratios: whatever
    else this machine does strikes both.
    """
    cores = os.cpu_count() or 1
    different = [picture(number) for number in range(DIFFERENT)]
    bodies = [different[number % DIFFERENT] for number in range(PICTURES)]
    decoders = Decoders(cores)

    def here(body: bytes) -> Decoded:
        return decode(body, size=SIDE, max_pixels=MAX_PIXELS)

    def there(body: bytes) -> Decoded:
        return decoders.decode(body, size=SIDE, max_pixels=MAX_PIXELS)

    ratios, rates = [], []
    try:
        with ThreadPoolExecutor(cores) as pool:

            def seconds(work: Callable[[bytes], Decoded]) -> float:
                start = time.perf_counter()
                list(pool.map(work, bodies))
                return time.perf_counter() - start

            seconds(here), seconds(there)
            for number in range(ROUNDS):
                works = (here, there) if number % 2 else (there, here)
                spent = {work: seconds(work) for work in works}
                ratios.append(spent[here] / spent[there])
                rates.append(PICTURES / spent[here])
    finally:
        decoders.close()
    return statistics.median(rates), statistics.median(ratios)


def main() -> None:
    """Print the price."""
    rate, kept = isolation()
    print(f"{rate:,.0f} pictures/s in threads; processes of their own keep {kept:.1%} of that")


if __name__ == "__main__":
    sys.exit(main())
