"""What every store of features has to do."""

from __future__ import annotations

import hashlib
from typing import Protocol

import pytest

from triptych.features.feature_store import (
    ERROR_MAX_CHARS,
    RESULT_MAX_BYTES,
    Feature,
    FeatureKind,
    FeatureStore,
)

WORDS = FeatureKind("words", 1)
A, B, C = (hashlib.sha256(name).digest() for name in (b"a", b"b", b"c"))


class Stores(Protocol):
    @property
    def features(self) -> FeatureStore: ...


class FeaturesContract:
    """Subclasses give the fixture ``stores``."""

    async def test_what_is_kept_is_no_longer_missing(self, stores: Stores) -> None:
        features = stores.features
        assert await features.missing(WORDS, [C, A, B]) == [C, A, B]
        await features.put(
            WORDS, [Feature(B, {"n": 1, "text": "a\0ü"}), Feature(A, None, "broken")]
        )
        assert await features.missing(WORDS, [C, A, B]) == [C]
        found = await features.read(WORDS, [A, B, C])
        assert set(found) == {A, B}
        assert found[A] == Feature(A, None, "broken")
        assert found[B].error is None
        assert (found[B].result or {})["n"] == 1
        assert await features.read(WORDS, []) == {}

    async def test_kinds_and_versions_are_apart(self, stores: Stores) -> None:
        features = stores.features
        await features.put(WORDS, [Feature(A, {})])
        for other in (FeatureKind("words", 2), FeatureKind("faces", 1)):
            assert await features.missing(other, [A]) == [A]
            assert await features.read(other, [A]) == {}

    async def test_the_first_result_stays(self, stores: Stores) -> None:
        features = stores.features
        await features.put(WORDS, [Feature(A, {"n": 1}), Feature(A, {"n": 2})])
        await features.put(WORDS, [Feature(A, None, "late"), Feature(B, {"n": 3})])
        found = await features.read(WORDS, [A, B])
        assert [found[key].result for key in (A, B)] == [{"n": 1}, {"n": 3}]

    async def test_a_feature_is_bounded(self, stores: Stores) -> None:
        features = stores.features
        for wrong in (
            Feature(A, None),
            Feature(A, {}, "both"),
            Feature(A, {"text": "x" * RESULT_MAX_BYTES}),
        ):
            with pytest.raises(ValueError, match=A.hex()):
                await features.put(WORDS, [Feature(B, {}), wrong])
        assert await features.missing(WORDS, [A, B]) == [A, B]
        await features.put(WORDS, [Feature(A, None, "x" * 10_000)])
        error = (await features.read(WORDS, [A]))[A].error
        assert error is not None
        assert len(error) == ERROR_MAX_CHARS
