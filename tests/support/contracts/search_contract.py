"""What every adapter must do for search: nearest in a snapshot and across brands, and the index.

A subclass gives the fixture ``stores``.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.contracts.stores_contract import POLICY
from triptych.ai.ai_store import Marks
from triptych.errors import AssetNotFound, BadInput, RunNotFound, SearchUnavailable
from triptych.features.feature_store import Feature, FeatureKind
from triptych.features.picture_text import TEXT, PictureText, TextLine
from triptych.gather.urls import item_key
from triptych.model import Colour, Insight, ItemResult, NewItem, Run, RunKind, Staged
from triptych.snapshots.search_store import Hits, IndexLag, Nearest, Words
from triptych.snapshots.snapshot_store import AssetFilter, NearColour
from triptych.wiring.stores import Stores

DIMENSION = 8
LIMIT = 10_000

Vectors = npt.NDArray[np.float32]


def unit(rows: npt.ArrayLike) -> Vectors:
    vectors = np.asarray(rows, np.float32)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)


def axis(number: int, dimension: int = DIMENSION) -> Vectors:
    return np.asarray(np.eye(dimension, dtype=np.float32)[number])


def drawn(count: int, seed: int, dimension: int = DIMENSION) -> Vectors:
    return unit(np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32))


async def commit_vectors(
    stores: Stores,
    brand: str,
    vectors: Vectors | Sequence[Vectors | None],
    *,
    model: str = "m",
    media_types: Sequence[str] | None = None,
    content: str = "",
) -> Run:
    """Commit a snapshot whose asset ``n``, at ``https://x/n``, has vector ``n``."""
    run_id = uuid4()
    await stores.runs.open_run(
        brand,
        run_id=run_id,
        kind=RunKind.FULL,
        source=None,
        policy=POLICY,
        enqueue_gather_message=False,
    )
    urls = [f"https://x/{number}" for number in range(len(vectors))]
    rows = [NewItem(item_key(url), url, {"alt": f"About {url}"}) for url in urls]
    await stores.runs.expect(run_id, rows, cursor=None, limit=LIMIT)
    results = []
    for number, (row, vector) in enumerate(zip(rows, vectors, strict=True)):
        shown = "none" if vector is None else vector.tobytes().hex()
        sha256 = hashlib.sha256(f"{content}{row.url}{shown}".encode()).digest()
        staged = Staged(
            sha256=sha256,
            object_key=f"sha256/{sha256.hex()}",
            media_type=media_types[number] if media_types else "image/png",
            size_bytes=10,
            width=4,
            height=3,
            phash=number,
            embedding=vector,
            model=None if vector is None else model,
            colours=(Colour(0xFF0000 if number % 2 else 0x0000FF, 1.0),),
        )
        results.append(ItemResult(row.key, staged))
    await stores.runs.settle(run_id, results, limit=LIMIT)
    await stores.runs.seal(run_id)
    return await stores.runs.commit(run_id)


async def mark(stores: Stores, run: Run, urls: Sequence[str], **values: list[Any]) -> None:
    await stores.ai.begin_ai(run.brand, run.id)
    keys = np.frombuffer(b"".join(item_key(url) for url in urls), np.uint8).reshape(-1, 16)
    insights = [Insight("marks", {})]
    assert await stores.ai.finish_ai(run.id, insights, marks=Marks(keys, values))


async def index_all(stores: Stores, *, limit: int = 100) -> int:
    rounds = 0
    while await stores.search.index_some(limit=limit):
        rounds += 1
        assert rounds < 1000
    return rounds


def nearest(vector: Vectors, limit: int = 3, **given: Any) -> Nearest:
    return Nearest(given.pop("model", "m"), vector, limit, given.pop("deadline_s", 30.0), **given)


def urls(hits: Hits) -> list[str]:
    return [hit.asset.url.removeprefix("https://x/") for hit in hits.rows]


def places(hits: Hits) -> set[tuple[str, str]]:
    return {(hit.asset.brand, url) for hit, url in zip(hits.rows, urls(hits), strict=True)}


class SearchContract:
    """Exact in a snapshot; across brands whatever the index has come to."""

    async def test_the_nearest_come_first_and_exactly(self, stores: Stores) -> None:
        vectors = drawn(200, seed=1)
        run = await commit_vectors(stores, "nike", vectors)
        wanted = drawn(1, seed=2)[0]
        hits = await stores.search.nearest_in(run.id, nearest(wanted, 20))
        cosines = vectors.astype(np.float16).astype(np.float32) @ wanted
        assert urls(hits) == [str(n) for n in np.argsort(-cosines)[:20]]
        assert hits.exact
        assert hits.rows[0].similarity == pytest.approx(float(cosines.max()), abs=2e-3)
        assert hits.rows[0].asset.embedding is None

    async def test_models_are_never_mixed(self, stores: Stores) -> None:
        run = await commit_vectors(stores, "nike", drawn(5, seed=1))
        await commit_vectors(stores, "puma", drawn(5, 2, dimension=16), model="other")
        await index_all(stores)
        assert not (await stores.search.nearest_in(run.id, nearest(axis(0), model="other"))).rows
        assert places(await stores.search.nearest_anywhere(nearest(axis(0), 20))) == {
            ("nike", str(n)) for n in range(5)
        }
        found = await stores.search.nearest_anywhere(nearest(axis(3, 16), 20, model="other"))
        assert places(found) == {("puma", str(n)) for n in range(5)}
        assert not (await stores.search.nearest_anywhere(nearest(axis(0), model="unknown"))).rows
        assert list(await stores.search.models_of(run.id)) == ["m"]
        assert list(await stores.search.models()) == ["m", "other"]

    async def test_a_vector_of_another_length_is_refused(self, stores: Stores) -> None:
        await commit_vectors(stores, "nike", drawn(5, seed=1))
        await index_all(stores)
        with pytest.raises(BadInput, match="16 numbers, but m has 8"):
            await stores.search.nearest_anywhere(nearest(axis(0, 16)))

    async def test_filters_hold_in_one_brand_and_in_all(self, stores: Stores) -> None:
        types = ["image/png", "image/svg+xml"] * 4
        run = await commit_vectors(stores, "nike", np.eye(8, dtype=np.float32), media_types=types)
        await mark(
            stores,
            run,
            [f"https://x/{n}" for n in range(8)],
            tags=[["shoe", "red"], ["shoe"], None, ["hat"], None, None, None, ["red"]],
            cluster=["a", "a", "b", None, None, "b", None, None],
            duplicates=["d", None, "d", None, None, None, None, None],
            look=["photograph", "logo", None, None, None, None, None, None],
            outlier=[0.1, 0.5, 0.9, None, None, None, None, None],
        )
        await index_all(stores)
        for matching, expected in [
            (AssetFilter(), "01234567"),
            (AssetFilter(media_type="image/svg+xml"), "1357"),
            (AssetFilter(media_type="image/*"), "01234567"),
            (AssetFilter(text="x/3"), "3"),
            (AssetFilter(text="about HTTPS://X/4"), "4"),
            (AssetFilter(colour=NearColour(0xFF0000, 10)), "1357"),
            (AssetFilter(tag="shoe"), "01"),
            (AssetFilter(tag="sho"), ""),
            (AssetFilter(cluster="b"), "25"),
            (AssetFilter(duplicates="d"), "02"),
            (AssetFilter(duplicated=True), "02"),
            (AssetFilter(duplicated=False), "134567"),
            (AssetFilter(look="logo"), "1"),
            (AssetFilter(outlier=0.5), "12"),
            (AssetFilter(tag="shoe", cluster="a", duplicated=False), "1"),
        ]:
            wanted = nearest(unit([8, 7, 6, 5, 4, 3, 2, 1]), 20, matching=matching)
            assert urls(await stores.search.nearest_in(run.id, wanted)) == list(expected), matching
            anywhere = await stores.search.nearest_anywhere(wanted)
            assert urls(anywhere) == list(expected), matching
            page = await stores.snapshots.assets_slice(run.id, matching, after=b"", limit=20)
            assert sorted(a.url[-1] for a in page.rows) == list(expected), matching

    async def test_words_are_found_in_every_field_and_nowhere_else(self, stores: Stores) -> None:
        run = await commit_vectors(stores, "nike", np.eye(8, dtype=np.float32))
        await commit_vectors(stores, "puma", drawn(2, 1), model="other")
        await mark(stores, run, ["https://x/1", "https://x/2"], tags=[["cow"], ["polar bear"]])

        async def found(
            *needles: Sequence[str], run_id: UUID | None = None, limit: int = 50, **given: Any
        ) -> list[tuple[str, str]]:
            wanted = Words(needles, "m", axis(0), limit, 30.0, **given)
            hits = await stores.search.with_words(run_id, wanted)
            return [(hit.asset.brand, hit.asset.url.removeprefix("https://x/")) for hit in hits]

        assert await found(["cow"]) == [("nike", "1")]
        assert await found(["bear"], run_id=run.id) == [("nike", "2")]
        # Every asset is about its URL; `alt` is only the name of that, and `https` no file name.
        assert await found(["https://x/3"], ["about"], limit=1) == [("nike", "3")]
        assert await found(["alt"]) == []
        assert len(await found(["puma"])) == 2
        assert await found(["nobody", "cow"]) == [("nike", "1")]
        assert await found(["cow"], matching=AssetFilter(tag="polar bear")) == []
        # Most words first, then the most similar; what has no vector of the model is last.
        every = await found(["about"], ["bear"])
        assert (every[:2], len(every)) == ([("nike", "2"), ("nike", "0")], 10)
        assert {brand for brand, _ in every[-2:]} == {"puma"}
        with pytest.raises(SearchUnavailable):
            await stores.search.with_words(None, Words([["x"]] * 5000, "m", None, 5, 0.001))

    async def test_words_are_found_in_pictures(self, stores: Stores) -> None:
        run = await commit_vectors(stores, "nike", np.eye(8, dtype=np.float32))
        await commit_vectors(stores, "puma", drawn(2, 1), model="other")
        assets = {
            asset.url[-1]: asset
            for asset in await stores.snapshots.assets(run.id, after=None, limit=10)
        }

        def line(text: str) -> TextLine:
            return TextLine(text, 0.9, 0.1, 0.1, 0.5, 0.1)

        sale = PictureText([line("Summer SALE"), line('"-50 %" Größe')], 0)
        other = FeatureKind(TEXT.name, TEXT.version + 1)
        await stores.features.put(TEXT, [Feature(assets["1"].sha256, sale.as_result())])
        await stores.features.put(TEXT, [Feature(assets["2"].sha256, None, "broken")])
        await stores.features.put(other, [Feature(assets["3"].sha256, sale.as_result())])

        async def found(*needles: Sequence[str], **given: Any) -> list[tuple[str, str]]:
            wanted = Words(needles, "m", axis(0), 50, 30.0, **given)
            hits = await stores.search.with_words(run.id, wanted)
            return [(hit.asset.url[-1], hit.text) for hit in hits]

        seen = [("1", sale.text)]
        for needle in ("sale", "größe", "50"):
            assert await found([needle]) == seen, needle
        assert await found(["confidence"]) == await found(["lines"]) == []
        assert (await found(["sale"], ["about"]))[0] == seen[0], "two words before one"
        assert await found(["sale"], matching=AssetFilter(text="x/2")) == []

    async def test_the_asset_asked_about_is_left_out(self, stores: Stores) -> None:
        run = await commit_vectors(stores, "nike", np.eye(8, dtype=np.float32))
        await commit_vectors(stores, "puma", np.eye(8, dtype=np.float32)[:1])
        await index_all(stores)
        key = item_key("https://x/0")
        found = await stores.search.embedding_of("nike", key)
        assert found is not None
        assert found[0] == "m"
        np.testing.assert_array_equal(found[1], axis(0))
        wanted = nearest(found[1], 1, without=("nike", key))
        assert urls(await stores.search.nearest_in(run.id, wanted)) != ["0"]
        assert places(await stores.search.nearest_anywhere(wanted)) == {("puma", "0")}

    async def test_what_has_no_embedding_is_not_found_and_says_so(self, stores: Stores) -> None:
        run = await commit_vectors(stores, "nike", [axis(0), None])
        await index_all(stores)
        assert urls(await stores.search.nearest_in(run.id, nearest(axis(1)))) == ["0"]
        assert urls(await stores.search.nearest_anywhere(nearest(axis(1)))) == ["0"]
        assert await stores.search.embedding_of("nike", item_key("https://x/1")) is None
        assert (
            await stores.search.embedding_of("nike", item_key("https://x/1"), run_id=run.id) is None
        )
        with pytest.raises(AssetNotFound):
            await stores.search.embedding_of("nike", item_key("https://x/2"))
        with pytest.raises(RunNotFound):
            await stores.search.nearest_in(uuid4(), nearest(axis(1)))
        with pytest.raises(RunNotFound):
            await stores.search.embedding_of("nike", item_key("https://x/1"), run_id=uuid4())

    async def test_the_index_follows_the_snapshots(self, stores: Stores) -> None:
        old = np.eye(8, dtype=np.float32)
        await commit_vectors(stores, "nike", old)
        assert await stores.search.unindexed_brands() == 1
        lag = await stores.search.index_lag()
        assert (lag.brands, 0 < lag.seconds < 3600) == (1, True)
        assert not (await stores.search.nearest_anywhere(nearest(axis(0)))).rows
        await index_all(stores, limit=3)
        assert await stores.search.unindexed_brands() == 0
        assert await stores.search.index_lag() == IndexLag(brands=0, seconds=0)
        # Asset 0 has changed, 6 and 7 are gone: what is stale is not found, even before the index
        # knows, and what stayed is.
        new = old[:6].copy()
        new[0] = -axis(0)
        await commit_vectors(stores, "nike", new)
        everything = nearest(unit(np.ones(8)), 20)
        assert sorted(urls(await stores.search.nearest_anywhere(everything))) == list("12345")
        await index_all(stores, limit=4)
        assert sorted(urls(await stores.search.nearest_anywhere(everything))) == list("012345")
        assert not await stores.search.index_some(limit=4)

    async def test_an_embedding_of_another_model_takes_the_olds_place(self, stores: Stores) -> None:
        await commit_vectors(stores, "nike", drawn(5, 1))
        await index_all(stores)
        await commit_vectors(stores, "nike", drawn(5, 2, dimension=16), model="newer")
        assert not (await stores.search.nearest_anywhere(nearest(axis(0)))).rows
        await index_all(stores)
        assert not (await stores.search.nearest_anywhere(nearest(axis(0)))).rows
        found = await stores.search.nearest_anywhere(nearest(axis(0, 16), 9, model="newer"))
        assert len(found.rows) == 5

    async def test_a_deleted_brand_leaves_the_index(self, stores: Stores) -> None:
        await commit_vectors(stores, "nike", drawn(5, 1))
        await index_all(stores)
        await stores.brands.begin_deletion("nike")
        assert not (await stores.search.nearest_anywhere(nearest(axis(0)))).rows
        while not await stores.retention.delete_brand("nike", limit=100):
            pass
        assert await index_all(stores, limit=2) == 3
        assert not await stores.search.index_some(limit=2)

    async def test_brands_take_turns_in_the_index(self, stores: Stores) -> None:
        await commit_vectors(stores, "large", drawn(50, 1))
        await commit_vectors(stores, "small", drawn(1, 2))
        for _ in range(3):
            assert await stores.search.index_some(limit=5)
        found = await stores.search.nearest_anywhere(nearest(axis(0), 100))
        assert "small" in {hit.asset.brand for hit in found.rows}
        assert len(found.rows) < 51

    async def test_small_brands_are_indexed_together(self, stores: Stores) -> None:
        for brand in "abcdefghij":
            await commit_vectors(stores, brand, drawn(2, 1))
        await stores.brands.begin_deletion("a")
        assert await index_all(stores, limit=10) == 2
        found = await stores.search.nearest_anywhere(nearest(axis(0), 100))
        assert len(found.rows) == 18

    async def test_indexers_do_not_get_in_each_others_way(self, stores: Stores) -> None:
        await commit_vectors(stores, "nike", drawn(60, 1))
        await asyncio.gather(*(index_all(stores, limit=7) for _ in range(4)))
        await index_all(stores)
        found = await stores.search.nearest_anywhere(nearest(axis(0), 100))
        assert len(places(found)) == len(found.rows) == 60

    async def test_what_takes_too_long_is_given_up(self, stores: Stores) -> None:
        run = await commit_vectors(stores, "nike", drawn(3000, 1))
        hard = AssetFilter(text="nothing has this", colour=NearColour(1, 1))
        with pytest.raises(SearchUnavailable, match=r"longer than 0\.001 s"):
            await stores.search.nearest_in(
                run.id, nearest(axis(0), deadline_s=0.001, matching=hard)
            )
        # The connection is as good as before.
        assert len((await stores.search.nearest_in(run.id, nearest(axis(0)))).rows) == 3
