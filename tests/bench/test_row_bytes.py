"""What a picture takes in the database is what the costs are computed from."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
from bench.row_bytes import BRAND, MODEL, URL_CHARS, row_bytes
from scripts.row_bytes import ASSET_B, DOCUMENT_B, INDEX_B, SEARCHABLE_B, SNAPSHOTS

from triptych.database.session import Database
from triptych.model import Asset, Colour
from triptych.objects import object_key
from triptych.reads.edition import Edition, EditionAsset
from triptych.reads.mongo.documents import asset_documents
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


def test_the_bytes_of_a_document_are_those_that_costs_are_computed_from() -> None:
    url = "https://pictures.example/catalogue/77/".ljust(URL_CHARS - 4, "x") + ".jpg"
    shown = {"alt": "A picture of shoe 77", "page": "https://shop.example/shoes/77"}
    run, sha256 = UUID(int=2**127), bytes(32)
    asset = Asset(
        run_id=run,
        key=bytes(16),
        brand=BRAND,
        url=url,
        sha256=sha256,
        object_key=object_key(sha256),
        media_type="image/jpeg",
        size_bytes=150_000,
        width=1_200,
        height=900,
        phash=-(2**62),
        colours=tuple(Colour(rgb, 0.3) for rgb in (0xC80A14, 0x0AC814, 0x010203)),
        metadata=shown,
        model=MODEL,
        embedding=None,
    )
    marks = {"cluster": "12", "tags": ["shoe", "sneaker"], "look": "studio", "x": 0.2, "y": 0.5}
    searched = (url, json.dumps(shown).lower())
    given = EditionAsset(asset, {**marks, "outlier": 0.1}, "2026-11-29", searched)
    found = asset_documents(BRAND, Edition(1, 1_764_457_900_000_000, run), given)
    assert found.size_bytes == pytest.approx(DOCUMENT_B, rel=NEAR)


def test_the_snapshots_that_are_kept_are_those_of_the_settings() -> None:
    assert Settings.model_fields["keep_snapshots"].default == SNAPSHOTS
