"""A brand is embedded anew from its stored objects, without a single request."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from onnx import TensorProto

from tests.support.image_encoder import SIDE, write_image_encoder
from tests.support.local_pipeline import acquiring_at, ended, local_at, snapshot
from tests.support.picture_server import Site, write_manifest
from triptych.errors import BrandNotFound, Conflict, RunActive
from triptych.messages import GATHER_QUEUE, URL_QUEUE, Message
from triptych.model import AiState, RunKind, RunState

LISTED = 12
"""More than two pages."""
URLS = 20
"""One is out at a time, so that the run is still under way when it is paused."""


def a_model(folder: Path) -> str:
    return str(write_image_encoder(folder / "first.onnx", ["n", SIDE, SIDE, 3], TensorProto.FLOAT))


def another_model(folder: Path) -> str:
    return str(write_image_encoder(folder / "other.onnx", ["n", SIDE, SIDE, 3], TensorProto.UINT8))


async def test_reembedding_downloads_nothing_and_never_mixes_models(
    site: Site, tmp_path: Path
) -> None:
    site.instead = {3: b"%PDF-1.7\n" + b"\0" * 100}
    source = write_manifest(tmp_path, site.base, "nike", LISTED)
    async with acquiring_at(tmp_path, embedder="bundled", other_media=True) as local:
        first = await ended(local, (await local.submit("nike", source=source)).id)
        before = {asset.url: asset for asset in await snapshot(local, "nike")}
        assert (first.added, site.hits) == (LISTED, LISTED)
    async with local_at(tmp_path, embedder=another_model(tmp_path), page_rows=5) as local:
        opened = await local.registry.reembed("nike")
        again = await ended(local, opened.run.id)
        after = {asset.url: asset for asset in await snapshot(local, "nike")}
        assert await local.registry.reembed("nike") != opened, "a new run each time"
    assert site.hits == LISTED
    assert (again.kind, again.state, again.kept) == (RunKind.REEMBED, RunState.COMMITTED, LISTED)
    assert again.ai_state is AiState.DONE
    models = {asset.model for asset in before.values()} | {None}
    for url, asset in after.items():
        old = before[url]
        assert (asset.sha256, asset.metadata, asset.phash) == (
            *(old.sha256, old.metadata, old.phash),
        )
        if asset.phash is None:
            assert (asset.media_type, asset.embedding) == ("application/pdf", None)
            continue
        assert asset.model not in models
        assert asset.embedding is not None
        assert old.embedding is not None
        assert asset.embedding.shape != old.embedding.shape


LEFT = (None, b"", b"no longer a picture", b"the same size")
"""What there is in place of an object: None is nothing. The last is as long as the object was."""


async def test_g6_what_has_lost_its_object_is_fetched_again(site: Site, tmp_path: Path) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 9)
    async with acquiring_at(tmp_path, embedder=a_model(tmp_path)) as local:
        await ended(local, (await local.submit("nike", source=source)).id)
        *lost, whole = (await snapshot(local, "nike"))[: len(LEFT) + 1]
    objects = tmp_path / "data" / "objects"
    for left, asset in zip(LEFT, lost, strict=True):
        path = objects / asset.object_key
        if left is None:
            path.unlink()
        else:
            path.write_bytes(left.ljust(asset.size_bytes) if left == b"the same size" else left)
    async with acquiring_at(tmp_path, embedder=another_model(tmp_path)) as local:
        run = await ended(local, (await local.registry.reembed("nike")).run.id)
        after = {asset.url: asset for asset in await snapshot(local, "nike")}
    assert (run.state, run.failed, run.kept) == (RunState.COMMITTED, 0, 9)
    for left, asset in zip(LEFT, lost, strict=True):
        there = (objects / asset.object_key).read_bytes()
        assert hashlib.sha256(there).digest() == asset.sha256, left
    assert site.hits == 9 + len(LEFT)
    assert {asset.model for asset in after.values()} == {after[whole.url].model}
    assert after[whole.url].model != whole.model


async def test_what_cannot_be_embedded_anew_stays_as_it_was(site: Site, tmp_path: Path) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 6)
    async with acquiring_at(tmp_path, embedder=a_model(tmp_path)) as local:
        await ended(local, (await local.submit("nike", source=source)).id)
        assets = await snapshot(local, "nike")
    (tmp_path / "data" / "objects" / assets[0].object_key).unlink()
    site.gone = {int(assets[0].metadata["position"])}
    async with acquiring_at(tmp_path, embedder=another_model(tmp_path)) as local:
        run = await ended(local, (await local.registry.reembed("nike")).run.id)
        after = {asset.url: asset for asset in await snapshot(local, "nike")}
    assert (run.state, run.failed, run.reasons) == (RunState.COMMITTED, 1, {"object_damaged": 1})
    assert len(after) == 6
    assert after[assets[0].url].model == assets[0].model
    assert {asset.model for asset in after.values()} == {
        assets[0].model,
        after[assets[1].url].model,
    }


async def test_runs_of_other_kinds_wait_and_strangers_urls_are_acquired(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", URLS)
    async with acquiring_at(tmp_path, embedder="none", source=source, dispatch_window=1) as local:
        with pytest.raises(BrandNotFound):
            await local.registry.reembed("nike")
        first = await local.submit("nike", source=source)
        with pytest.raises(Conflict, match="no snapshot"):
            await local.registry.reembed("nike")
        await ended(local, first.id)
        reembedding = (await local.registry.reembed("nike")).run
        await local.registry.pause(reembedding.id)
        with pytest.raises(RunActive, match="being re-embedded"):
            await local.submit("nike", source=source)
        await local.queue.send(GATHER_QUEUE, [Message({"brand": "nike"})])
        body = {"brand": "nike", "url": f"{site.base}/nike/777.png", "metadata": {}}
        await local.queue.send(URL_QUEUE, [Message(body)])
        async for state in local.watch(reembedding.id):
            if state.expected == URLS + 1:
                await local.registry.resume(reembedding.id)
                break
        run = await ended(local, reembedding.id)
        assert (run.state, run.added) == (RunState.COMMITTED, 1)
        assert f"{site.base}/nike/777.png" in {asset.url for asset in await snapshot(local, "nike")}
