"""A brand of costly pictures slows itself down, and no other brand."""

from __future__ import annotations

import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.costly_svgs import COSTLY, UNFORESEEN
from tests.support.local_pipeline import ended, local_at
from tests.support.picture_server import Site, write_manifest
from tests.support.waiting import until_true
from triptych.errors import Conflict
from triptych.media.decoded import Decoded
from triptych.media.decoders import Decoders
from triptych.model import RunState
from triptych.runtime.cpu import available_cores
from triptych.wiring.local import Local

COSTLY_URLS = 8
URLS = 5
ROUNDS = 3


async def seconds(local: Local, site: Site, folder: Path, brand: str) -> float:
    """Return how long a brand of five pictures takes from its start to its commit."""
    source = write_manifest(folder, site.base, brand, URLS)
    begun = time.monotonic()
    run = await ended(local, (await local.submit(brand, source=source)).id)
    assert (run.state, run.added) == (RunState.COMMITTED, URLS)
    return time.monotonic() - begun


@pytest.mark.prove
@pytest.mark.integration
@pytest.mark.parametrize(
    "costly", [COSTLY["octaves, as reviewed"], UNFORESEEN], ids=["reviewed", "unforeseen"]
)
@pytest.mark.skipif(available_cores() < 2, reason="one decoder: its picture is waited for")
async def test_five_pictures_take_at_most_twice_their_time_beside_eight_costly_svgs(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, costly: bytes
) -> None:
    begun: list[str] = []
    decode = Decoders.decode

    def noting(decoders: Decoders, body: bytes, **more: Any) -> Decoded:
        begun.append(more["about"]["brand"])
        return decode(decoders, body, **more)

    monkeypatch.setattr(Decoders, "decode", noting)
    site.instead = dict.fromkeys(range(100, 100 + COSTLY_URLS), costly)
    listed = tmp_path / "costly.csv"
    urls = [f"{site.base}/costly/{number}.png" for number in site.instead]
    listed.write_text("\n".join(["url", *urls]))
    async with local_at(tmp_path, decoders="auto") as local:
        await seconds(local, site, tmp_path, "first")  # Decoders start.
        alone = [await seconds(local, site, tmp_path, f"alone {n}") for n in range(ROUNDS)]
        attack = await local.submit("costly", source=f"manifest:{listed}")
        await until_true(lambda: "costly" in begun)
        beside = [await seconds(local, site, tmp_path, f"beside {n}") for n in range(ROUNDS)]
        # It ends by itself, but not soon on a busy machine, where nothing is refused before.
        with suppress(Conflict):
            await local.registry.cancel(attack.id)
        assert (await ended(local, attack.id)).done == 0
    ratio = statistics.median(beside) / statistics.median(alone)
    print(f"alone {alone}, beside {beside}: {ratio:.2f} times")
    assert ratio <= 2
