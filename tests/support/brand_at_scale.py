"""Run all steps over a large made-up brand, in a process of its own, and tell what they took.

``python -m tests.support.brand_at_scale 100000`` prints a line a step, then one of JSON.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from tests.support.snapshots import committed_run
from triptych.ai.context import Context, Earlier, OtherBrand
from triptych.ai.step import Snapshot, discover, load_snapshot
from triptych.ai.step_results import Answer, merge_results, run_step
from triptych.model import Asset, Colour

DIMENSION = 1_280
FAMILIES = 300
NOISE = 0.1
"""Share of the pictures that belong to no family."""
COPIES = 0.05
"""Share that are copies of another, edited a little."""
OTHER_BRANDS = 200
OTHER_ASSETS = 2_000
BATCH = 1_000


class FakeStores:
    """Streams a brand of ``count`` made-up pictures; the same ones each time."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self._count = count
        self._seed = seed
        random = np.random.default_rng(0)
        self._centres = random.normal(size=(FAMILIES, DIMENSION)).astype(np.float32)

    async def stream_assets(self, run_id: UUID, *, batch: int) -> AsyncIterator[Sequence[Asset]]:
        for start in range(0, self._count, batch):
            yield self.page(run_id, start, min(batch, self._count - start))

    def page(self, run_id: UUID, start: int, size: int) -> list[Asset]:
        random = np.random.default_rng([self._seed, start])
        family = random.integers(0, FAMILIES, size)
        noise = random.random(size) < NOISE
        vectors = random.normal(size=(size, DIMENSION)).astype(np.float32)
        vectors[~noise] = self._centres[family[~noise]] + 0.6 * vectors[~noise]
        copies = np.flatnonzero(random.random(size) < COPIES)
        copies = copies[copies > 0]
        vectors[copies] = vectors[copies - 1] + 0.02 * vectors[copies]
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        # Keys are evenly spread, and pages come in their order.
        keys = (((start + row) * (2**128 // 10**6)).to_bytes(16) for row in range(size))
        # Half of the bits, as hashes of pictures have.
        bits = np.argsort(random.random((size, 64)), axis=1) < 32
        hashes = np.packbits(bits, axis=1).view(">u8").ravel().astype(np.uint64)
        hashes[copies] = hashes[copies - 1] ^ np.uint64(0b11)
        return [
            Asset(
                run_id=run_id,
                key=next(keys),
                brand="large",
                url=f"https://x/family{family[row]}/{start + row}.jpg",
                sha256=hashlib.sha256(f"{self._seed} {start + row}".encode()).digest(),
                object_key="",
                media_type="image/jpeg",
                size_bytes=50_000 + row,
                width=800 + row,
                height=600,
                phash=int(hashes[row].astype(np.int64)),
                embedding=vectors[row],
                model="m",
                metadata={},
                colours=(Colour(int(family[row]) * 54_321 & 0xFFFFFF, 0.7), Colour(0xFFFFFF, 0.3)),
            )
            for row in range(size)
        ]


class Others:
    """Other brands, all of whose pictures are made up anew when they are asked for."""

    def brands(self) -> Iterable[OtherBrand]:
        random = np.random.default_rng(1)
        for number in range(OTHER_BRANDS):
            vectors = random.normal(size=(16, DIMENSION)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            sizes = np.full(16, OTHER_ASSETS / 16)
            yield OtherBrand(f"b{number}", UUID(int=number), vectors, np.full(16, 0.6), sizes)

    def assets(self, brand: OtherBrand, limit: int) -> Iterable[Sequence[Asset]]:
        # The first batch of the brand at hand is in every other: look-alikes to be found.
        stores = FakeStores(OTHER_ASSETS, seed=brand.run_id.int % 2)
        for start in range(0, min(limit, OTHER_ASSETS), BATCH):
            yield stores.page(brand.run_id, start, BATCH)


class Text:
    """A text encoder of made-up directions."""

    model, image_model, dimension = "t", "m", DIMENSION

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
        found = np.stack([np.random.default_rng(s).normal(size=DIMENSION) for s in seeds])
        return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)

    def calibrate(self, scores: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.clip(scores * 8, 0, 1)


def pixels(row: int, side: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(row).integers(0, 255, (side, side, 3), np.uint8)


def peak_mb(pid: int | str = "self") -> float:
    """Return the most memory that a process has had, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1_000


def run(count: int, *, again: bool) -> dict[str, Any]:
    """Run all steps; ``again``: once more over the same brand, from what they gave."""
    told: dict[str, Any] = {"seconds": {}, "errors": {}, "results": {}}
    begun, of_cpu = time.monotonic(), time.process_time()
    stores: Any = FakeStores(count)
    snapshot = asyncio.run(load_snapshot(stores, committed_run(added=count)))
    told["seconds"]["load"] = round(time.monotonic() - begun, 1)
    told["loaded_mb"] = round(peak_mb())
    context = Context(pixels=pixels, others=Others(), text=Text)
    answers = _pass(replace(snapshot, context=context), told, "")
    if again:
        results = {a.insight.kind: a.insight.result for a in answers if a.insight.result}
        marks, _ = merge_results(snapshot, answers)
        earlier = Earlier(snapshot.keys, marks.values, results)
        _pass(replace(snapshot, context=replace(context, earlier=earlier)), told, " again")
    told["peak_mb"] = round(peak_mb())
    told["whole_s"] = round(time.monotonic() - begun)
    told["whole_cpu_s"] = round(time.process_time() - of_cpu)
    return told


def _pass(snapshot: Snapshot, told: dict[str, Any], suffix: str) -> list[Answer]:
    answers = []
    for step in discover():
        begun, of_cpu = time.monotonic(), time.process_time()
        answer = run_step(step, snapshot)
        answers.append(answer)
        name = step.name + suffix
        told["seconds"][name] = round(time.monotonic() - begun, 1)
        if answer.insight.error is not None:
            told["errors"][name] = answer.insight.error
        else:
            whole = answer.insight.result or {}
            told["results"][name] = {k: v for k, v in whole.items() if isinstance(v, int | float)}
        cpu = time.process_time() - of_cpu
        took = f"{told['seconds'][name]} s, {cpu:.0f} s of processor time"
        print(f"{name}: {took}, peak {peak_mb():.0f} MB", flush=True)
    return answers


if __name__ == "__main__":
    print(json.dumps(run(int(sys.argv[1]), again="again" in sys.argv[2:])))
