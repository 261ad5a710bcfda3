"""What a picture takes in the database is what the costs are computed from."""

from __future__ import annotations

import pytest
from bench.row_bytes import row_bytes
from scripts.row_bytes import ASSET_B, INDEX_B, SEARCHABLE_B, SNAPSHOTS

from triptych.database.session import Database
from triptych.settings.settings import Settings

PICTURES = 400
NEAR = 0.1


async def test_the_bytes_of_a_picture_are_those_that_costs_are_computed_from(
    migrated_dsn: str,
) -> None:
    database = Database(migrated_dsn)
    found = await row_bytes(database, PICTURES)
    assert found.asset == pytest.approx(ASSET_B, rel=NEAR)
    assert found.searchable == pytest.approx(SEARCHABLE_B, rel=NEAR)
    assert found.index == pytest.approx(INDEX_B, rel=NEAR)


def test_the_snapshots_that_are_kept_are_those_of_the_settings() -> None:
    assert Settings.model_fields["keep_snapshots"].default == SNAPSHOTS
