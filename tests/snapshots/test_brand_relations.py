"""One similarity of two brands, and one count of what they share, whoever asks and when."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.contracts.search_contract import commit_vectors, drawn
from triptych.database.session import Database
from triptych.errors import BrandNotFound, SearchUnavailable
from triptych.snapshots import brand_relations
from triptych.snapshots.brand_relations import (
    BrandRelations,
    NearBrand,
    compare_centres,
    find_lookalikes,
)
from triptych.snapshots.comparison import compare
from triptych.snapshots.search_store import Centre, Sample
from triptych.wiring.stores import Stores, postgres_stores


@pytest.fixture
async def stores(migrated_dsn: str) -> AsyncIterator[Stores]:
    database = Database(migrated_dsn)
    yield postgres_stores(database, run_cap_s=3600)
    await database.close()


async def told(stores: Stores, relations: BrandRelations, brand: str, other: str) -> NearBrand:
    """Return what the list of the nearest says, which must be what the comparison says."""
    found = await relations.nearest(brand)
    (near,) = [near for near in found.items if near.brand == other]
    side = await compare(relations, stores.brands, stores.snapshots, brand, other)
    assert near == NearBrand(other, side.similarity or 0, side.shared.count, side.lookalikes.count)
    return near


async def test_brands_agree_on_what_they_share_whichever_commits_last(stores: Stores) -> None:
    relations = BrandRelations(stores.brands, stores.search)
    one, other = drawn(8, 1), drawn(8, 1)
    other[5:] = drawn(3, 2)
    await commit_vectors(stores, "bazaar", one)
    assert (await relations.nearest("bazaar")).items == []
    await commit_vectors(stores, "pantry", other)
    ours = await told(stores, relations, "bazaar", "pantry")
    theirs = await told(stores, relations, "pantry", "bazaar")
    assert (ours.similarity, ours.shared, ours.lookalikes) == (theirs.similarity, 5, 0)
    assert (theirs.shared, theirs.lookalikes) == (5, 0)

    # Each commits again, and both hear of it.
    one[6] = other[6]
    for brand, vectors, shared in [("bazaar", one, 6), ("pantry", other[:6], 5)]:
        await commit_vectors(stores, brand, vectors)
        ours = await told(stores, relations, "bazaar", "pantry")
        theirs = await told(stores, relations, "pantry", "bazaar")
        assert (ours.shared, ours.lookalikes) == (theirs.shared, theirs.lookalikes) == (shared, 0)
        assert ours.similarity == theirs.similarity


async def test_another_server_says_the_same(stores: Stores) -> None:
    await commit_vectors(stores, "b", drawn(40, 1))
    await commit_vectors(stores, "a", drawn(30, 2))
    first = await told(stores, BrandRelations(stores.brands, stores.search), "a", "b")
    second = await told(stores, BrandRelations(stores.brands, stores.search), "b", "a")
    assert first.similarity == second.similarity


async def test_all_brands_are_compared_or_counted_as_left_out(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(brand_relations, "BRANDS_MAX", 4)
    monkeypatch.setattr(brand_relations, "COUNTED_MAX", 1)
    monkeypatch.setattr(brand_relations, "CENTRES_BATCH", 2)
    await commit_vectors(stores, "own", drawn(4, 1))
    for number in range(3):
        await commit_vectors(stores, f"a{number}", drawn(4, 2 + number))
    await commit_vectors(stores, "b-other-model", drawn(4, 1), model="older")
    await commit_vectors(stores, "c-not-reached", drawn(4, 1))
    await commit_vectors(stores, "bare", [None])
    found = await BrandRelations(stores.brands, stores.search).nearest("own")
    assert {near.brand for near in found.items} == {"a0", "a1", "a2"}
    assert (found.brands, found.left_out) == (3, 3)
    similarities = [near.similarity for near in found.items]
    assert similarities == sorted(similarities, reverse=True)
    assert [near.shared is None for near in found.items] == [False, True, True]
    with pytest.raises(BrandNotFound):
        await BrandRelations(stores.brands, stores.search).nearest("nobody")


async def test_what_takes_too_long_is_not_counted_and_not_zero(
    stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    await commit_vectors(stores, "a", drawn(4, 1))
    await commit_vectors(stores, "b", drawn(4, 1))

    async def late(*_: object, **__: object) -> None:
        raise SearchUnavailable("It took longer.")

    monkeypatch.setattr(stores.search, "shared", late)
    (near,) = (await BrandRelations(stores.brands, stores.search).nearest("a")).items
    assert near.similarity == pytest.approx(1)
    assert (near.shared, near.lookalikes) == (None, None)


async def test_what_is_kept_is_bounded(stores: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(brand_relations, "KEPT_RELATIONS", 1)
    relations = BrandRelations(stores.brands, stores.search)
    runs = [await commit_vectors(stores, name, drawn(3, 1)) for name in "abc"]
    for _ in range(2):
        for other in runs[1:]:
            assert (await relations.between(runs[0].id, other.id)).shared.count == 3


def sample(
    vectors: npt.NDArray[np.float32], hashes: Sequence[int | None], contents: str, of: str
) -> Sample:
    return Sample(
        [f"{of}{row}".encode() for row in range(len(vectors))],
        [content.encode() for content in contents],
        ["m"] * len(vectors),
        hashes,
        list(vectors),
    )


def hashed(count: int, seed: int) -> list[int]:
    """Hashes with 32 of 64 bits set, far from each other."""
    random = np.random.default_rng(seed)
    bits = np.array([random.permutation(np.repeat([0, 1], 32)) for _ in range(count)], np.uint8)
    return list(np.packbits(bits, axis=1).view(">i8").astype(np.int64).ravel().tolist())


def test_lookalikes_agree_in_embedding_and_hash_and_not_in_bytes() -> None:
    vectors, hashes = drawn(6, 1, dimension=64), hashed(6, 1)
    near = drawn(1, 9, dimension=64)[0] * 0.05
    theirs = vectors + near
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    own = sample(vectors, hashes, "abcdef", "o")
    other = sample(
        theirs.astype(np.float32),
        # The same bytes; three edited copies; another picture's hash; none.
        [hashes[0], hashes[1] ^ 0b101, hashes[2], hashes[3] ^ 0b1, hashed(9, 7)[8], None],
        "auvwxy",
        "t",
    )
    found = find_lookalikes(own, other, "m")
    assert {(one, them) for one, them, _ in found} == {
        (b"o1", b"t1"),
        (b"o2", b"t2"),
        (b"o3", b"t3"),
    }
    back = find_lookalikes(other, own, "m")
    assert {(them, one) for one, them, _ in back} == {(one, them) for one, them, _ in found}
    assert find_lookalikes(own, other, "unknown") == []


def test_several_copies_of_one_picture_are_one_pair() -> None:
    vectors, hashes = drawn(1, 1, dimension=64), hashed(1, 1)
    own = sample(np.repeat(vectors, 3, axis=0), hashes * 3, "aaa", "o")
    other = sample(np.repeat(vectors, 2, axis=0), hashes * 2, "bc", "t")
    assert len(find_lookalikes(own, other, "m")) == len(find_lookalikes(other, own, "m")) == 1


def test_hashes_without_detail_need_nearer_embeddings() -> None:
    vectors = drawn(2, 1, dimension=64)
    theirs = vectors.copy()
    theirs[1] += 0.3 * drawn(1, 2, dimension=64)[0]
    theirs /= np.linalg.norm(theirs, axis=1, keepdims=True)
    own, other = sample(vectors, [0, 0], "ab", "o"), sample(theirs, [0, 0], "cd", "t")
    assert [one for one, _, _ in find_lookalikes(own, other, "m")] == [b"o0"]


def test_centres_are_compared_only_within_a_model_and_a_dimension() -> None:
    def centre(model: str, count: int, *numbers: float) -> Centre:
        return Centre(model, count, np.array(numbers, np.float32))

    one = [centre("m", 9, 1.0, 0.0), centre("n", 2, 1.0, 0.0, 0.0)]
    assert compare_centres(one, [centre("m", 1, 1.0, 0.0, 0.0)]) == (None, None, (0, 0))
    model, similarity, compared = compare_centres(
        one, [centre("m", 1, 0.5, 0.5), centre("n", 5, 1.0, 0.0, 0.0)]
    )
    assert (model, similarity, compared) == ("n", 1.0, (2, 5))
    assert compare_centres(one, [centre("m", 1, 0.0, 0.0)]) == ("m", None, (9, 1))
