"""Features by content in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import override

from triptych.database.session import no_nul
from triptych.features.feature_store import (
    ERROR_MAX_CHARS,
    Feature,
    FeatureKind,
    FeatureStore,
    check_features,
)
from triptych.testing.memory_state import MemoryState, as_json


class MemoryFeatureStore(FeatureStore):
    """`FeatureStore` in memory, where nothing is collected."""

    def __init__(self, state: MemoryState) -> None:
        self._features = state.features

    @override
    async def missing(self, kind: FeatureKind, contents: Sequence[bytes]) -> list[bytes]:
        return [sha256 for sha256 in contents if (sha256, kind) not in self._features]

    @override
    async def put(self, kind: FeatureKind, features: Sequence[Feature]) -> None:
        check_features(features)
        for each in features:
            result = None if each.result is None else as_json(each.result)
            error = no_nul([each.error], ERROR_MAX_CHARS)[0]
            self._features.setdefault((each.sha256, kind), Feature(each.sha256, result, error))

    @override
    async def read(self, kind: FeatureKind, contents: Sequence[bytes]) -> Mapping[bytes, Feature]:
        found = {sha256: self._features.get((sha256, kind)) for sha256 in contents}
        return {sha256: feature for sha256, feature in found.items() if feature is not None}
