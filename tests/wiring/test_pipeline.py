"""The whole spine in one process: real database, queues, HTTP, images, embedder, objects."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

import triptych
from tests.support.data_folder import provide, provide_models
from tests.support.local_pipeline import LOOPBACK, PATIENCE_S, ended, local_at, snapshot
from tests.support.picture_server import Site, picture, serve_site, write_manifest
from tests.support.tiny_clip import DIMENSION, clip, describe
from tests.support.waiting import until
from triptych.errors import BadInput, InvalidBrand
from triptych.media.decoded import Decoded
from triptych.media.decoders import Decoders
from triptych.messages import AI_QUEUE, GATHER_QUEUE, URL_QUEUE, Message
from triptych.model import AiState, Asset, Run, RunKind, RunState
from triptych.objects import open_store
from triptych.runtime.retry import backoff
from triptych.snapshots.search_store import Nearest
from triptych.wiring.local import Local

pytestmark = [
    pytest.mark.integration,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("pipeline"),
]

ATTEMPTS = 3


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def local(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Local]:
    """All phases on one data folder, for tests that each have a brand of their own."""
    async with local_at(tmp_path_factory.mktemp("shared"), max_attempts=ATTEMPTS) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def site() -> AsyncIterator[Site]:
    """A test's own image server, on the loop that all tests of this module have."""
    async with serve_site() as opened:
        yield opened


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What failed for a moment is tried again soon."""
    assert backoff.__kwdefaults__ is not None
    monkeypatch.setitem(backoff.__kwdefaults__, "base_s", 0.05)


async def ai_phases(local: Local, run: Run) -> int:
    """Return how many times the run's AI phase was done."""
    events = await local.stores.runs.timeline(run.id, after=0, limit=1000)
    return [event.kind for event in events].count("ai_done")


async def newest(local: Local, brand: str, kind: RunKind, state: RunState) -> Run:
    """Wait until the brand's newest run is of that kind and state."""
    async with local.stores.changes.changes() as changed, asyncio.timeout(PATIENCE_S):
        while True:
            runs = await local.stores.runs.runs(brand, limit=1)
            if runs and (runs[0].kind, runs[0].state) == (kind, state):
                return runs[0]
            await anext(changed)


async def test_one_call_from_python_takes_a_brand_through_all_phases(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 12)
    await asyncio.to_thread(provide, tmp_path / "data")
    await asyncio.to_thread(provide_models, tmp_path / "data")
    run = await triptych.run("nike", source=source, data=tmp_path / "data", fetch_allow=LOOPBACK)
    assert (run.state, run.added, run.ai_state) == (RunState.COMMITTED, 12, AiState.DONE)
    async with local_at(tmp_path) as local:
        assets = await snapshot(local, "nike")
        store = open_store("file:", tmp_path / "data" / "objects")
        for asset in assets:
            number = int(asset.metadata["position"])
            assert await store.get(asset.object_key) == picture(number)
            assert (asset.width, asset.height, asset.media_type) == (48, 48, "image/png")
            assert asset.embedding is not None
            assert asset.embedding.shape == (1280,)
            assert float(asset.embedding @ asset.embedding) == pytest.approx(1, abs=1e-2)
        kinds = {insight.kind for insight in await local.stores.snapshots.insights(run.id)}
        assert kinds == {
            *("across", "alt_text", "clusters", "duplicates", "look", "map"),
            *("origin", "people", "quality", "tags", "text"),
        }


async def test_pictures_are_stored_as_they_are_where_nothing_is_decoded(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 12)
    async with local_at(tmp_path, decode=False) as local:
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assert (run.state, run.added) == (RunState.COMMITTED, 12)
        assets = await snapshot(local, "nike")
        store = open_store("file:", tmp_path / "data" / "objects")
        for asset in assets:
            assert await store.get(asset.object_key) == picture(int(asset.metadata["position"]))
            assert (asset.media_type, asset.phash, asset.embedding) == ("image/png", None, None)
    async with local_at(tmp_path) as local:
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assert (run.state, run.kept) == (RunState.COMMITTED, 12)
        for asset in await snapshot(local, "nike"):
            assert (asset.width, asset.height) == (48, 48)
            assert asset.phash is not None


async def test_a_worker_indexes_committed_assets_for_search_across_brands(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 6)
    model = str(clip(tmp_path / "clip"))
    async with local_at(tmp_path, embedder=model) as local:
        await ended(local, (await local.submit("nike", source=source)).id)
        asset = (await snapshot(local, "nike"))[0]
        assert asset.embedding is not None
        assert asset.model is not None
        await until(local.stores.search.unindexed_brands, lambda count: count == 0)
        vector = asset.embedding / float(np.linalg.norm(asset.embedding))
        found = await local.stores.search.nearest_anywhere(
            Nearest(asset.model, vector, 10, PATIENCE_S)
        )
    assert len(found.rows) == 6
    assert found.rows[0].similarity > 0.99


@pytest.mark.parametrize("kept", [False, True])
async def test_other_media_are_kept_by_setting(site: Site, tmp_path: Path, kept: bool) -> None:
    site.instead = {1: b"%PDF-1.7\n" + b"\0" * 100, 2: b"<html>not media</html>"}
    source = write_manifest(tmp_path, site.base, "nike", 4)
    async with local_at(tmp_path, other_media=kept, tolerated_failures=1.0) as local:
        run = await ended(local, (await local.submit("nike", source=source)).id)
        assets = {asset.url: asset for asset in await snapshot(local, "nike")}
        insights = await local.stores.snapshots.insights(run.id)
        failed = await local.stores.runs.failed_items(run.id, "not_an_image", after=-1, limit=9)
    assert run.reasons == {"not_an_image": 1 if kept else 2}
    details = {item.url.rpartition("/")[2]: item.detail for item in failed.rows}
    assert details.pop("2.png") == "an HTML page: the URL has to lead to the picture itself"
    keeps = "a document (application/pdf), which is not decoded; TRIPTYCH_OTHER_MEDIA=true keeps it"
    assert details == ({} if kept else {"1.png": f"{keeps} as it is"})
    pdf = assets.get(f"{site.base}/nike/1.png")
    assert (pdf is not None and pdf.media_type == "application/pdf" and pdf.phash is None) is kept
    assert {insight.error for insight in insights} == {None}


async def test_g6_unchanged_content_is_kept_and_changed_content_replaced(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 8)
    async with local_at(tmp_path, embedder=str(clip(tmp_path / "clip"))) as local:
        first = await ended(local, (await local.submit("nike", source=source)).id)
        before = {asset.url: asset for asset in await snapshot(local, "nike")}
        second = await ended(local, (await local.submit("nike")).id)
        site.seed = 100
        third = await ended(local, (await local.submit("nike")).id)
        after = {asset.url: asset for asset in await snapshot(local, "nike")}
    assert (first.added, second.kept, third.changed) == (8, 8, 8)
    assert before.keys() == after.keys()
    assert all(before[url].sha256 != after[url].sha256 for url in before)


async def test_another_model_embeds_everything_again_and_nothing_is_mixed(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 6)
    path = clip(tmp_path / "model")
    found: list[dict[str, Asset]] = []
    for mean in ([0.0, 0.0, 0.0], [0.5, 0.5, 0.5]):
        describe(path, mean=mean)
        async with local_at(tmp_path, embedder=str(path)) as local:
            run = await ended(local, (await local.submit("nike", source=source)).id)
            assert run.state is RunState.COMMITTED
            found.append({asset.url: asset for asset in await snapshot(local, "nike")})
    before, after = found
    assert {asset.model for asset in before.values()} & {a.model for a in after.values()} == set()
    assert [len({asset.model for asset in each.values()}) for each in found] == [1, 1]
    for url, asset in after.items():
        assert asset.sha256 == before[url].sha256
        assert asset.embedding is not None
        assert asset.embedding.shape == (DIMENSION,)


async def test_g3_transient_failures_are_tried_again_and_permanent_ones_are_not(
    local: Local, site: Site, tmp_path: Path
) -> None:
    site.failing = {1: 2, 2: 99}
    site.gone = {3}
    source = write_manifest(tmp_path, site.base, "transient", 6)
    run = await ended(local, (await local.submit("transient", source=source)).id)
    counts = dict(await local.stores.runs.failure_counts(run.id))
    assert (run.state, run.done) == (RunState.COMMITTED, 4)
    assert counts == {"not_found": 1, "server_error": 1}
    assert site.hits == 3 + 3 + 3 + 1, "three good ones, 2+1, three attempts, one 404"


@pytest.mark.usefixtures("soon")
async def test_g3_an_object_that_cannot_be_stored_fails_its_item(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 3)
    async with local_at(tmp_path, max_attempts=2) as local:
        # A file where this picture's folder would have to be.
        shelf = tmp_path / "data" / "objects" / "sha256"
        shelf.mkdir(exist_ok=True)
        (shelf / hashlib.sha256(picture(1)).hexdigest()[:2]).write_text("in the way")
        run = await ended(local, (await local.submit("nike", source=source)).id)
    assert (run.state, run.done, run.reasons) == (RunState.COMMITTED, 2, {"store_failed": 1})


@pytest.mark.usefixtures("soon")
async def test_g3_a_defect_of_ours_fails_its_item_and_no_other(
    local: Local, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.seed = 500  # No other test has these pictures.
    source = write_manifest(tmp_path, site.base, "defect", 3)
    decode = Decoders.decode

    def defective(decoders: Decoders, body: bytes, **more: Any) -> Decoded:
        if body == picture(501):
            raise ZeroDivisionError
        return decode(decoders, body, **more)

    monkeypatch.setattr(Decoders, "decode", defective)
    run = await ended(local, (await local.submit("defect", source=source)).id)
    page = await local.stores.runs.failed_items(run.id, "internal", after=-1, limit=5)
    assert (run.state, run.done, run.reasons) == (RunState.COMMITTED, 2, {"internal": 1})
    assert "ZeroDivisionError" in page.rows[0].detail


async def test_redrive_tries_only_what_failed(local: Local, site: Site, tmp_path: Path) -> None:
    site.gone = {0, 1}
    source = write_manifest(tmp_path, site.base, "redriven", 6)
    run = await ended(local, (await local.submit("redriven", source=source)).id)
    site.gone, hits = set(), site.hits
    redriven = await local.registry.redrive(run.id)
    again = await ended(local, redriven.id)
    assert site.hits - hits == 2
    assert (again.state, again.added, again.kept) == (RunState.COMMITTED, 2, 4)
    assert len(await snapshot(local, "redriven")) == 6


async def test_g1_cancel_in_the_middle_leaves_the_snapshot(
    local: Local, site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "cancelled", 6)
    first = await ended(local, (await local.submit("cancelled", source=source)).id)
    site.released = asyncio.Event()
    second = await local.submit("cancelled")
    async for state in local.watch(second.id):
        if state.sealed:
            break
    cancelled = await local.registry.cancel(second.id)
    site.released.set()
    assert cancelled.state is RunState.CANCELLED
    assert (await local.stores.brands.brand("cancelled")).current_run == first.id


async def test_strangers_write_the_three_bodies_and_nothing_else(
    site: Site, tmp_path: Path
) -> None:
    source = write_manifest(tmp_path, site.base, "nike", 4)
    async with local_at(tmp_path, source=source) as local:
        await local.queue.send(GATHER_QUEUE, [Message({"brand": "nike"})])
        full = await newest(local, "nike", RunKind.FULL, RunState.COMMITTED)
        await ended(local, full.id)

        bodies = [
            {"brand": "nike", "url": f"{site.base}/nike/{n}.png", "metadata": {"n": n}}
            for n in (50, 51, 50)
        ]
        await local.queue.send(URL_QUEUE, [Message(body) for body in bodies])
        added = await newest(local, "nike", RunKind.ADD, RunState.COMMITTED)
        assert (added.added, added.kept, added.removed) == (2, 4, 0)
        done = await ended(local, added.id)

        await local.queue.send(AI_QUEUE, [Message({"brand": "nike"})])
        async with local.stores.changes.changes() as changed, asyncio.timeout(PATIENCE_S):
            while await ai_phases(local, done) < 2:
                await anext(changed)


async def test_g4_invalid_messages_are_dead_letters_with_their_reason(local: Local) -> None:
    bad: dict[str, dict[str, Any]] = {
        GATHER_QUEUE: {"brand": "a/b"},
        URL_QUEUE: {"brand": "nike", "url": 7, "metadata": {}},
        AI_QUEUE: {"brand": "nike", "extra": True},
    }
    for queue, body in bad.items():
        await local.queue.send(queue, [Message(body)])

    async def invalid() -> list[Any]:
        letters = await local.stores.dead_letters.dead_letters(limit=100)
        return [each for each in letters if each[1].body in bad.values()]

    letters = await until(invalid, lambda letters: len(letters) == len(bad))
    reasons = {letter.queue: letter.reason for _, letter in letters}
    assert reasons[GATHER_QUEUE].startswith("brand: ")
    assert reasons[URL_QUEUE].startswith("url: ")
    assert reasons[AI_QUEUE].startswith("extra: ")
    assert {letter.queue: letter.body for _, letter in letters} == bad


async def test_a_source_that_is_not_there_fails_the_run_with_its_reason(local: Local) -> None:
    run = await ended(local, (await local.submit("lost", source="manifest:/nowhere.csv")).id)
    assert run.state is RunState.FAILED
    assert run.reason == (
        "source_refused: There is no file /nowhere.csv. Check the path after manifest:."
    )
    unnamed = await ended(local, (await local.submit("unnamed")).id)
    assert "has no source" in (unnamed.reason or "")


async def test_wrong_input_is_refused_before_anything_starts(local: Local, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="TRIPTYCH_SOURCE"):
        await triptych.run("wrong", source="urls", data=tmp_path)
    with pytest.raises(InvalidBrand, match="slash"):
        await local.submit("a/b")


async def test_metadata_too_large_for_a_message_stays_on_the_item(
    local: Local, site: Site, tmp_path: Path
) -> None:
    note = "x" * 100_000
    path = tmp_path / "urls.jsonl"
    path.write_text(f'{{"url": "{site.base}/large/1.png", "note": "{note}"}}\n')
    run = await ended(local, (await local.submit("large", source=f"manifest:{path}")).id)
    assert run.state is RunState.COMMITTED
    (asset,) = await snapshot(local, "large")
    assert asset.metadata["note"] == note
