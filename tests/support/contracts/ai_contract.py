"""What every adapter of the port Catalogue must do for the AI phase. See `catalogue_contract`."""

from __future__ import annotations

import numpy as np

from tests.support.contracts.stores_contract import CommonStores, committed
from triptych.ai.ai_store import AssetVectors, BrandCells, Marks
from triptych.model import AiState, Insight, Run


class InsightsContract:
    """Claimed once a commit, published whole, and read by the brands beside it."""

    async def test_g5_ai_happens_once_a_commit(self, stores: CommonStores) -> None:
        old = await committed(stores)
        new = await committed(stores)
        assert await stores.ai.begin_ai("nike", old.id) is None
        assert (await stores.runs.run(old.id)).ai_state is AiState.SUPERSEDED
        claimed = await stores.ai.begin_ai("nike", new.id)
        assert claimed is not None
        insights = [Insight("duplicates", {"groups": []}, seconds=0.5), Insight("x", None, "boom")]
        assert await stores.ai.finish_ai(new.id, insights)
        assert not await stores.ai.finish_ai(new.id, [])
        assert await stores.ai.begin_ai("nike", new.id) is None
        assert list(await stores.snapshots.insights(new.id)) == insights
        ended = await stores.runs.run(new.id)
        assert (ended.ai_state, ended.ai_reason) == (AiState.DONE, "failed steps: x")

    async def test_marks_and_vectors_are_published_with_the_insights(
        self, stores: CommonStores
    ) -> None:
        first = await committed(stores)
        assert await stores.ai.earlier_ai(first.id) is None
        assets = await stores.snapshots.assets(first.id, after=None, limit=10)
        keys = np.frombuffer(b"".join(asset.key for asset in assets), np.uint8).reshape(-1, 16)
        marks = Marks(
            keys,
            {
                "cluster": ["a", None, "b", "a", None],
                "tags": [["x", "y"], [], None, ["z"], None],
                "x": [0.5, -1.0, 0.0, 2.0, None],
                "mine": [{"n": 1}, None, None, None, None],
            },
        )
        space = AssetVectors("space", keys[:2], np.eye(2, 8, dtype=np.float16))
        for _ in range(2):  # Again by a stranger's message: it replaces what was there.
            assert await stores.ai.begin_ai("nike", None)
            await stores.ai.note_ai(first.id, {"step": "x", "share": 0.5})
            assert (await stores.runs.run(first.id)).ai_progress == {"step": "x", "share": 0.5}
            insights = [Insight("x", {"n": 1})]
            assert await stores.ai.finish_ai(first.id, insights, marks=marks, vectors=[space])
        assert (await stores.runs.run(first.id)).ai_progress == {}
        await stores.ai.note_ai(first.id, {"step": "late"})
        assert (await stores.runs.run(first.id)).ai_progress == {}
        second = await committed(stores, content="new")
        published = await stores.ai.earlier_ai(second.id)
        assert published is not None
        assert (published.run_id, list(published.insights)) == (first.id, insights)
        assert published.marks.keys.tolist() == keys[:4].tolist(), "of the last nothing was said"
        assert published.marks.values["cluster"] == ["a", None, "b", "a"]
        assert published.marks.values["tags"] == [["x", "y"], [], None, ["z"]]

    async def test_brands_are_read_by_the_cells_of_their_current_snapshots(
        self, stores: CommonStores
    ) -> None:
        async def describe(brand: str, content: str) -> Run:
            run = await committed(stores, content=content, brand=brand)
            assets = await stores.snapshots.assets(run.id, after=None, limit=2)
            keys = np.frombuffer(b"".join(asset.key for asset in assets), np.uint8)
            space = AssetVectors("cells", keys.reshape(-1, 16), np.eye(2, 8, dtype=np.float16))
            cells = [{"key": asset.key.hex(), "size": 3} for asset in assets]
            await stores.ai.begin_ai(brand, run.id)
            insights = [Insight("across", {"cells": cells})]
            assert await stores.ai.finish_ai(run.id, insights, vectors=[space])
            return run

        await describe("adidas", "old")
        adidas = await describe("adidas", "new")
        await describe("nike", "same")
        puma = await describe("puma", "same")
        await committed(stores, brand="undescribed")

        async def page(after: str | None, limit: int, step: str = "across") -> list[BrandCells]:
            return list(
                await stores.ai.brand_cells(step, "cells", besides="nike", after=after, limit=limit)
            )

        first, second = await page(None, 1), await page("adidas", 9)
        assert [(one.brand, one.run_id) for one in first] == [("adidas", adidas.id)]
        assert [(one.brand, one.run_id) for one in second] == [("puma", puma.id)]
        assert [cell["size"] for cell in second[0].cells] == [3, 3]
        assert [key.tobytes().hex() for key in second[0].vectors.keys] == [
            cell["key"] for cell in second[0].cells
        ]
        assert second[0].vectors.vectors.tolist() == np.eye(2, 8).tolist()
        assert await page("puma", 9) == []
        assert await page(None, 9, "clusters") == []
