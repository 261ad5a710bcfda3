"""Steps look at pixels: read from the real store, decoded in a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.object_damage import swap
from tests.support.snapshots import snapshot_of, unit
from triptych.ai import pixels
from triptych.ai.context import Context
from triptych.ai.pixels import StoredPixels
from triptych.ai.step import Snapshot, Step
from triptych.ai.step_results import run_step
from triptych.media.decoders import Decoders
from triptych.objects import ObjectStore, object_key, open_store

pytestmark = pytest.mark.integration


async def stored(store: ObjectStore, *bodies: bytes) -> Snapshot:
    digests = [hashlib.sha256(body).digest() for body in bodies]
    for body, digest in zip(bodies, digests, strict=True):
        await store.put(body, digest, "image/png")
    count = len(bodies) + 1
    snapshot = snapshot_of(unit(np.ones((count, 4))), phash=[0] * count)
    known = np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
    return replace(snapshot, sha256=np.concatenate([known, snapshot.sha256[-1:]]))


async def test_a_step_sees_pixels_or_is_told_that_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    png = io.BytesIO()
    Image.new("RGB", (40, 20), (200, 30, 10)).save(png, "PNG")
    store = open_store("file:", tmp_path)
    snapshot = await stored(store, png.getvalue(), b"no picture")
    decoders = Decoders(1)
    try:
        look = StoredPixels(snapshot, store, decoders, max_pixels=10_000)
        seen = await asyncio.to_thread(look, 0, 8)
        assert seen is not None
        assert seen.shape == (8, 8, 3)
        assert (seen == (200, 30, 10)).all()
        assert await asyncio.to_thread(look, 1, 8) is None, "undecodable"
        assert await asyncio.to_thread(look, 2, 8) is None, "not in the store"
        monkeypatch.setattr(pixels, "LOOKS_MAX", 3)
        assert await asyncio.to_thread(look, 0, 8) is None, "the looks are used up"
    finally:
        decoders.close()


def asking_for(rows: Sequence[int]) -> Step:
    def look(snapshot: Snapshot) -> dict[str, object]:
        for row in rows:
            snapshot.context.pixels(row, 8)
        return {}

    return Step("looks", 1, look)


async def test_a_damaged_object_has_no_pixels(tmp_path: Path) -> None:
    bodies = []
    for colour in ((200, 30, 10), (10, 30, 200)):
        png = io.BytesIO()
        Image.new("RGB", (40, 20), colour).save(png, "PNG")
        bodies.append(png.getvalue())
    store = open_store("file:", tmp_path)
    snapshot = await stored(store, *bodies)
    keys = [object_key(hashlib.sha256(body).digest()) for body in bodies]
    swap(store, *keys)
    decoders = Decoders(1)
    try:
        look = StoredPixels(snapshot, store, decoders, max_pixels=10_000)
        # Either is a picture that can be decoded, and not the one that the row means.
        assert [await asyncio.to_thread(look, row, 8) for row in (0, 1)] == [None, None]
        assert look.lost == {0, 1}
        seen = replace(snapshot, context=Context(pixels=look))
        for rows in ([0, 1, 2, 2], [2]):
            answer = await asyncio.to_thread(run_step, asking_for(rows), seen)
            assert answer.insight.result is not None
            assert answer.insight.result["pictures_lost"] == len(set(rows))
        answer = await asyncio.to_thread(run_step, asking_for([]), seen)
        assert "pictures_lost" not in (answer.insight.result or {})
    finally:
        decoders.close()
