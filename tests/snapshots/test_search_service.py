"""The search service on a real database, with real (small) towers: texts, assets, pictures."""

from __future__ import annotations

import asyncio
import hashlib
import io
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from tests.support import tiny_clip
from tests.support.contracts.search_contract import commit_vectors, drawn, index_all, mark
from tests.support.contracts.stores_contract import POLICY
from tests.support.waiting import until_true
from triptych.database.session import Database
from triptych.errors import (
    AssetNotFound,
    BadInput,
    BodyTooLarge,
    BrandNotFound,
    DecoderLost,
    NotSearchable,
    SearchUnavailable,
    TooManyRequests,
)
from triptych.gather.urls import item_key
from triptych.media.decode import decode
from triptych.media.decoded import Decoded
from triptych.media.shared_decoders import SharedDecoders
from triptych.model import ItemResult, NewItem, Reason, Run, RunKind, Staged
from triptych.settings.settings import Settings
from triptych.snapshots import search_service
from triptych.snapshots.search_service import Matches, SearchService, Where
from triptych.snapshots.snapshot_store import AssetFilter
from triptych.wiring.models import open_embedder
from triptych.wiring.stores import Stores, postgres_stores
from triptych.wiring.web_server import open_search

COLOURS = ["red", "green", "blue", "white"]


@pytest.fixture
async def stores(migrated_dsn: str) -> AsyncIterator[Stores]:
    database = Database(migrated_dsn)
    yield postgres_stores(database, run_cap_s=3600)
    await database.close()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("search")
    return Settings.load(data=folder, embedder=str(tiny_clip.clip(folder / "clip")))


@pytest.fixture
async def service(settings: Settings, stores: Stores) -> AsyncIterator[SearchService]:
    async with open_search(settings, stores) as opened:
        yield opened


SHOP: list[tuple[str, dict[str, Any], list[str] | None]] = [
    ("p3.png", {"title": "Product 3", "sku": 4711}, None),
    ("p4.png", {"title": "Product 4"}, None),
    ("assets-P042.png", {}, None),
    ("alibabadotcom.svg", {}, None),
    ("caf%C3%A9.png", {"season": "été"}, None),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shop(settings: Settings, shared_dsn: str) -> AsyncIterator[SearchService]:
    """A service with the brand ``shop``, for tests that only ask or are refused."""
    database = Database(shared_dsn)
    stores = postgres_stores(database, run_cap_s=3600)
    await listed(stores, "shop", SHOP)
    async with open_search(settings, stores) as opened:
        yield opened
    await database.close()


async def colours(stores: Stores, settings: Settings, brand: str) -> Run:
    """Commit a brand of four pictures of one colour each, embedded by the tiny_clip."""
    embedder = open_embedder(settings, 1)
    assert embedder is not None
    pictures = np.stack([tiny_clip.picture(tiny_clip.COLOURS[name]) for name in COLOURS])
    return await commit_vectors(
        stores, brand, embedder.embed(pictures), model=embedder.model, content=brand
    )


def encoded(colour: tuple[int, int, int], kind: str = "PNG", side: int = 40) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), tuple(255 * part for part in colour)).save(file, kind)
    return file.getvalue()


def names(matches: Matches) -> list[str]:
    return [COLOURS[int(match.asset.url.removeprefix("https://x/"))] for match in matches.rows]


async def test_texts_find_what_shows_them_in_one_brand_and_in_all(
    service: SearchService, stores: Stores, settings: Settings
) -> None:
    await colours(stores, settings, "nike")
    await colours(stores, settings, "puma")
    for text in ("red", "green", "blue"):
        found = await service.by_text(text, Where("nike"))
        assert names(found)[0] == text
        assert found.exact
        scores = [match.score for match in found.rows if match.score is not None]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == 4
        assert scores[0] > 0.9 > scores[-1]
    early = await service.by_text("red", Where())
    assert (len(early.rows), early.unindexed) == (0, 2)
    await index_all(stores)
    everywhere = await service.by_text("red", Where(limit=2))
    assert {match.asset.brand for match in everywhere.rows} == {"nike", "puma"}
    assert names(everywhere) == ["red", "red"]
    assert everywhere.unindexed == 0


async def test_pictures_find_what_looks_like_them(
    service: SearchService, stores: Stores, settings: Settings
) -> None:
    await colours(stores, settings, "nike")
    for kind in ("PNG", "JPEG", "WEBP"):
        found = await service.by_image(
            encoded((0, 0, 1), kind), Where("nike", limit=1), identity="key:a"
        )
        assert names(found) == ["blue"]
        assert (found.rows[0].similarity or 0) > 0.99
        assert found.rows[0].score is None


async def test_assets_find_what_looks_like_them_but_not_themselves(
    service: SearchService, stores: Stores, settings: Settings
) -> None:
    run = await colours(stores, settings, "nike")
    await colours(stores, settings, "puma")
    await index_all(stores)
    key = item_key("https://x/0")
    assert "red" not in names(await service.by_asset("nike", key, Where("nike")))
    other = await service.by_asset("nike", key, Where("puma", limit=1), run_id=run.id)
    assert (other.rows[0].asset.brand, names(other)) == ("puma", ["red"])
    everywhere = await service.by_asset("nike", key, Where(limit=1))
    assert everywhere.rows[0].asset.brand == "puma"
    with pytest.raises(AssetNotFound):
        await service.by_asset("nike", b"k" * 16, Where())


async def test_filters_are_searched_with(
    service: SearchService, stores: Stores, settings: Settings
) -> None:
    run = await colours(stores, settings, "nike")
    await mark(stores, run, ["https://x/1", "https://x/2"], tags=[["shoe"], ["shoe", "hat"]])
    found = await service.by_text("red", Where("nike", matching=AssetFilter(tag="shoe")))
    assert sorted(names(found)) == ["blue", "green"]


@pytest.mark.parametrize("text", ["", "  ", "x" * 501])
@pytest.mark.asyncio(loop_scope="module")
async def test_texts_that_say_nothing_or_too_much_are_refused(
    shop: SearchService, text: str
) -> None:
    with pytest.raises(BadInput) as caught:
        await shop.by_text(text, Where())
    assert caught.value.field == "text"


@pytest.mark.parametrize("limit", [0, -1, 501])
@pytest.mark.asyncio(loop_scope="module")
async def test_limits_are_kept(shop: SearchService, limit: int) -> None:
    with pytest.raises(BadInput) as caught:
        await shop.by_text("red", Where(limit=limit))
    assert caught.value.field == "limit"


@pytest.mark.parametrize(
    "body", [b"", b"no picture", encoded((1, 0, 0))[:60], b"<svg", b"\x00" * 1000]
)
@pytest.mark.asyncio(loop_scope="module")
async def test_g9_what_is_no_picture_is_refused(shop: SearchService, body: bytes) -> None:
    with pytest.raises(BadInput, match="cannot be decoded") as caught:
        await shop.by_image(body, Where(), identity="key:a")
    assert caught.value.field == "image"


async def test_g8_too_large_a_picture_is_refused(
    service: SearchService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_service, "IMAGE_MAX_BYTES", 10)
    with pytest.raises(BodyTooLarge, match="at most 10 bytes"):
        await service.by_image(encoded((1, 0, 0)), Where(), identity="key:a")


async def test_what_cannot_be_compared_says_why(
    service: SearchService, stores: Stores, settings: Settings
) -> None:
    with pytest.raises(BrandNotFound):
        await service.by_text("red", Where("nike"))
    await commit_vectors(stores, "nike", drawn(3, 1), model="older")
    with pytest.raises(
        NotSearchable, match="'nike' was embedded by older, but the query by vision_"
    ):
        await service.by_text("red", Where("nike"))
    await index_all(stores)
    with pytest.raises(NotSearchable, match="Everything was embedded by older"):
        await service.by_image(encoded((1, 0, 0)), Where(), identity="key:a")
    await commit_vectors(stores, "bare", [None])
    with pytest.raises(NotSearchable, match="has no embedding"):
        await service.by_asset("bare", item_key("https://x/0"), Where())
    assert not (await service.by_text("red", Where("bare"))).rows
    await stores.runs.open_run(
        "new",
        run_id=uuid4(),
        kind=(await stores.runs.runs("nike", limit=1))[0].kind,
        source=None,
        policy=(await stores.runs.runs("nike", limit=1))[0].policy,
        enqueue_gather_message=False,
    )
    with pytest.raises(NotSearchable, match="no snapshot yet"):
        await service.by_text("red", Where("new"))


async def test_without_a_model_only_assets_are_searched_by(
    stores: Stores, settings: Settings, tmp_path: Path
) -> None:
    await commit_vectors(stores, "nike", drawn(3, 1))
    without = Settings.load(data=tmp_path, embedder="none")
    async with open_search(without, stores) as service:
        with pytest.raises(NotSearchable, match="no text encoder"):
            await service.by_text("red", Where())
        with pytest.raises(NotSearchable, match="no embedder"):
            await service.by_image(encoded((1, 0, 0)), Where(), identity="key:a")
        found = await service.by_asset("nike", item_key("https://x/1"), Where("nike"))
    assert len(found.rows) == 2


class Mad:
    """An encoder that gives what is no direction."""

    image_model = "m"
    dimension = 8

    def __init__(self, vector: np.ndarray) -> None:
        self.vector = vector

    def encode(self, _texts: Any) -> np.ndarray:
        return self.vector[None]


@pytest.mark.parametrize(
    ("vector", "problem"),
    [
        (np.full(8, np.nan), "must have 8 finite"),
        (np.full(8, np.inf), "must have 8 finite"),
        (np.ones(7), "must have 8 finite"),
        (np.zeros(8), "length 0"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_vectors_that_point_nowhere_are_refused(
    shop: SearchService, monkeypatch: pytest.MonkeyPatch, vector: np.ndarray, problem: str
) -> None:
    monkeypatch.setattr(
        shop,
        "_models",
        search_service.Models(lambda: None, lambda: Mad(vector)),  # type: ignore[arg-type,return-value]
    )
    with pytest.raises(BadInput, match=problem) as caught:
        await shop.by_text("red", Where())
    assert caught.value.field == "vector"


async def test_g8_a_search_ends_at_its_deadline_and_a_crowd_is_refused(
    service: SearchService, monkeypatch: pytest.MonkeyPatch
) -> None:
    loading = threading.Event()

    def load() -> None:
        loading.wait(30)

    monkeypatch.setattr(service, "_models", search_service.Models(lambda: None, load))
    monkeypatch.setattr(service, "_deadline_s", 0.05)
    monkeypatch.setattr(search_service, "WAITING_MAX", 3)
    answers = await asyncio.gather(
        *(service.by_text("red", Where()) for _ in range(5)), return_exceptions=True
    )
    loading.set()
    told = sorted(str(answer) for answer in answers)
    assert all(isinstance(answer, SearchUnavailable) for answer in answers)
    assert [text[:20] for text in told] == [
        *["The search took long"] * 3,
        *["Too many searches at"] * 2,
    ]


async def listed(
    stores: Stores, brand: str, assets: list[tuple[str, dict[str, Any], list[str] | None]]
) -> Run:
    """Commit assets with names, metadata and tags, without embeddings."""
    run_id = uuid4()
    await stores.runs.open_run(
        brand,
        run_id=run_id,
        kind=RunKind.FULL,
        source=None,
        policy=POLICY,
        enqueue_gather_message=False,
    )
    rows = [
        NewItem(item_key(f"https://x/{name}"), f"https://x/{name}", metadata)
        for name, metadata, _ in assets
    ]
    await stores.runs.expect(run_id, rows, cursor=None, limit=1000)
    results = []
    for number, row in enumerate(rows):
        sha256 = hashlib.sha256(f"{brand} {number}".encode()).digest()
        staged = Staged(sha256, sha256.hex(), "image/png", 10, 4, 3, number, None, None)
        results.append(ItemResult(row.key, staged))
    await stores.runs.settle(run_id, results, limit=1000)
    await stores.runs.seal(run_id)
    run = await stores.runs.commit(run_id)
    await mark(stores, run, [row.url for row in rows], tags=[tags for _, _, tags in assets])
    return run


def found_names(matches: Matches) -> list[str]:
    return [match.asset.url.removeprefix("https://x/") for match in matches.rows]


async def test_the_ais_tags_lead_then_names_then_metadata(
    service: SearchService, stores: Stores
) -> None:
    await listed(
        stores,
        "bazaar",
        [
            ("1.png", {"title": "A buffalo"}, ["buffalo"]),
            ("2.png", {"title": "Milk of a cow"}, None),
            ("cow-3.png", {"title": "none"}, None),
            ("4.png", {"cow": "none"}, ["cow", "farm"]),
            ("coward.png", {}, None),
        ],
    )
    for where in (Where("bazaar"), Where()):
        found = await service.by_text("Cows", where)
        assert found_names(found) == ["4.png", "cow-3.png", "2.png", "coward.png"], where
        assert [[field.value for field in match.found_in] for match in found.rows] == [
            ["tag"],
            ["name"],
            ["metadata"],
            ["name"],
        ]
        assert (found.matching, found.rows[0].similarity, found.brands) == (4, None, [])


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("Product 3", "p3.png"),
        ("assets-P042", "assets-P042.png"),
        ("alibaba", "alibabadotcom.svg"),
        ("ÉTÉ", "caf%C3%A9.png"),
        ("café", "caf%C3%A9.png"),
        ("4711", "p3.png"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_words_of_names_and_metadata_are_found(
    shop: SearchService, query: str, expected: str
) -> None:
    assert found_names(await shop.by_text(query, Where()))[0] == expected
    assert found_names(await shop.by_text(query, Where("shop", limit=1))) == [expected]


async def test_words_and_content_are_one_list(
    service: SearchService, stores: Stores, settings: Settings
) -> None:
    run = await colours(stores, settings, "nike")
    await mark(stores, run, ["https://x/2"], tags=[["red"]])
    found = await service.by_text("red", Where("nike"))
    # The one that is tagged leads, then the one that shows it; each comes once.
    assert names(found)[:2] == ["blue", "red"]
    assert len(found.rows) == 4
    assert found.rows[0].score is not None
    assert found.matching >= 2


async def test_filters_hold_for_words(service: SearchService, stores: Stores) -> None:
    await listed(stores, "a", [("cow-1.png", {}, ["farm"]), ("cow-2.png", {}, ["barn"])])
    found = await service.by_text("cow", Where(matching=AssetFilter(tag="barn")))
    assert found_names(found) == ["cow-2.png"]


async def test_what_nothing_matches_says_so(
    service: SearchService, stores: Stores, settings: Settings
) -> None:
    await colours(stores, settings, "nike")
    found = await service.by_text("zzzz", Where("nike"))
    scores = [match.score or 0 for match in found.rows]
    assert found.matching == sum(score >= 0.1 for score in scores)
    await listed(stores, "shop", [("p3.png", {}, None)])
    nothing = await service.by_text("zzzz", Where("shop"))
    assert (nothing.rows, nothing.matching, nothing.brands) == ([], 0, [])


async def test_a_brands_name_finds_the_brand(service: SearchService, stores: Stores) -> None:
    await listed(stores, "alibaba", [("1.png", {}, None), ("2.png", {}, None)])
    await listed(stores, "alibaba cloud", [("3.png", {}, None)])
    await listed(stores, "nike", [("4.png", {}, None)])
    for query in ("alibaba", "Alibaba"):
        found = await service.by_text(query, Where())
        assert found.brands == ["alibaba", "alibaba cloud"]
        assert {match.asset.brand for match in found.rows} == {"alibaba", "alibaba cloud"}
    assert (await service.by_text("alibaba", Where("nike"))).brands == []


async def test_copies_are_one_hit_unless_asked_otherwise(
    service: SearchService, stores: Stores, settings: Settings
) -> None:
    embedder = open_embedder(settings, 1)
    assert embedder is not None
    red = embedder.embed(tiny_clip.picture(tiny_clip.COLOURS["red"])[None])
    run = await commit_vectors(stores, "nike", np.repeat(red, 5, axis=0), model=embedder.model)
    await mark(stores, run, [f"https://x/{n}" for n in range(4)], duplicates=["d", "d", "d", None])
    for found in (
        await service.by_text("red", Where("nike")),
        await service.by_image(encoded((1, 0, 0)), Where("nike"), identity="key:a"),
    ):
        assert sorted(match.copies for match in found.rows) == [1, 1, 3]
    every = await service.by_text("red", Where("nike", fold=False))
    assert [match.copies for match in every.rows] == [1] * 5
    assert len((await service.by_text("red", Where("nike", limit=2))).rows) == 2


async def test_words_are_found_where_the_content_cannot_be_searched(
    stores: Stores, tmp_path: Path
) -> None:
    await listed(stores, "shop", [("cow.png", {}, None)])
    async with open_search(Settings.load(data=tmp_path, embedder="none"), stores) as service:
        found = await service.by_text("cow", Where())
        assert (found_names(found), found.model) == (["cow.png"], None)
        assert found.problems == ["Content: This server has no text encoder."]
        with pytest.raises(NotSearchable, match="no text encoder"):
            await service.by_text("sheep", Where())


async def test_words_that_take_too_long_are_told_of(
    service: SearchService, stores: Stores, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await colours(stores, settings, "nike")

    async def late(*_: object) -> None:
        raise SearchUnavailable("The search took longer than 5 s.")

    monkeypatch.setattr(stores.search, "with_words", late)
    found = await service.by_text("red", Where("nike"))
    assert names(found)[0] == "red"
    assert found.problems == ["Tags, names, text and metadata: The search took longer than 5 s."]


COSTLY = b"<svg xmlns='http://www.w3.org/2000/svg'><g filter='url(#f)'/></svg>"


class HeldDecoders:
    """Decoders of query pictures that hold each SVG until it is let go."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.held = 0

    def decode(self, body: bytes, **wanted: Any) -> Decoded:
        if body == COSTLY:
            self.held += 1
            assert self.go_on.wait(30)
            raise DecoderLost(Reason.UNDECODABLE, "it took more CPU time than a picture may")
        return decode(body, size=wanted["size"], max_pixels=wanted["max_pixels"])

    def close(self) -> None:
        self.go_on.set()


async def test_costly_uploads_of_one_identity_keep_no_text_and_no_other_identity_waiting(
    service: SearchService, stores: Stores, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await colours(stores, settings, "nike")
    decoders = HeldDecoders()
    with closing(SharedDecoders(decoders, 2)) as shared:  # type: ignore[arg-type]
        monkeypatch.setattr(service, "_decoders", shared)

        async def upload(identity: str, body: bytes) -> Matches:
            with service.holding(identity):
                return await service.by_image(body, Where("nike", limit=1), identity=identity)

        costly = [asyncio.create_task(upload("key:a", COSTLY)) for _ in range(10)]
        await until_true(lambda: decoders.held)
        refused = [task for task in costly if task.done()]
        assert len(refused) == 10 - search_service.IMAGES_EACH
        for task in refused:
            with pytest.raises(TooManyRequests, match="query pictures at once") as error:
                await task
            assert error.value.retry_after_s
        for _ in range(3):
            assert names(await service.by_text("red", Where("nike")))[0] == "red"
            assert names(await upload("key:b", encoded((0, 0, 1)))) == ["blue"]
        assert decoders.held == 1, "the others wait, and none was given up for"
        decoders.go_on.set()
        answers = await asyncio.gather(*costly, return_exceptions=True)
        assert sum(isinstance(answer, BadInput) for answer in answers) == search_service.IMAGES_EACH
    assert not service._images


async def test_g8_a_query_picture_that_waits_too_long_is_given_up_and_its_place_is_free(
    service: SearchService, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoders = HeldDecoders()
    with closing(SharedDecoders(decoders, 1)) as shared:  # type: ignore[arg-type]
        monkeypatch.setattr(service, "_decoders", shared)
        monkeypatch.setattr(service, "_deadline_s", 0.5)
        with service.holding("key:a"), pytest.raises(SearchUnavailable, match="took longer"):
            await service.by_image(COSTLY, Where(), identity="key:a")
        assert not service._images
        decoders.go_on.set()


async def test_all_identities_together_have_a_limit(service: SearchService) -> None:
    with ExitStack() as stack:
        for number in range(search_service.IMAGES_MAX):
            stack.enter_context(service.holding(f"key:{number}"))
        with pytest.raises(SearchUnavailable, match="Too many pictures"):
            stack.enter_context(service.holding("key:next"))
    assert not service._images
