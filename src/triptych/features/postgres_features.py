"""Features on Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from typing_extensions import override

from triptych.database.rows import Reader, reader
from triptych.database.session import Database, no_nul
from triptych.errors import SchemaBehind
from triptych.features.feature_store import (
    ERROR_MAX_CHARS,
    Feature,
    FeatureKind,
    FeatureStore,
    check_features,
)

to_feature: Reader[Feature] = reader(Feature)


class PostgresFeatureStore(FeatureStore):
    """`FeatureStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def missing(self, kind: FeatureKind, contents: Sequence[bytes]) -> list[bytes]:
        try:
            rows = await self._database.rows(
                "missing_features", kind.name, kind.version, list(contents)
            )
        except SchemaBehind:
            return []  # Nothing can be kept before the migration, so nothing is computed.
        return [row["sha256"] for row in rows]

    @override
    async def put(self, kind: FeatureKind, features: Sequence[Feature]) -> None:
        check_features(features)
        await self._database.rows(
            "put_features",
            kind.name,
            kind.version,
            [feature.sha256 for feature in features],
            [feature.result for feature in features],
            no_nul([feature.error for feature in features], ERROR_MAX_CHARS),
        )

    @override
    async def read(self, kind: FeatureKind, contents: Sequence[bytes]) -> Mapping[bytes, Feature]:
        try:
            rows = await self._database.rows("features_of", kind.name, kind.version, list(contents))
        except SchemaBehind:
            return {}  # None was kept before the migration.
        return {row["sha256"]: to_feature(row) for row in rows}
