"""Facets of MongoDB are those of Postgres, for every question of the contract and some more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.contracts.facets_contract import (
    FacetsContract,
    Picture,
    commit_pictures,
    facet,
    wanted,
)
from tests.support.projecting import Projected
from triptych.database.session import Database
from triptych.reads.mongo import mongo_facets
from triptych.reads.mongo.connection import MongoConnection
from triptych.snapshots.facets import Position
from triptych.wiring.stores import Stores, postgres_stores


@pytest.fixture
async def projected(migrated_dsn: str, mongodb: MongoConnection) -> AsyncIterator[Projected]:
    database = Database(migrated_dsn)
    yield Projected(postgres_stores(database, run_cap_s=3600), mongodb)
    await database.close()


@pytest.fixture
def stores(projected: Projected) -> Iterator[Stores]:
    yield projected.as_stores()
    assert projected.answered, "MongoDB was not asked"


class TestMongoFacets(FacetsContract):
    """Few different values: they are tallied here."""


class TestMongoFacetsOfManyValues(FacetsContract):
    """As if there were always many different values: they are tallied by the database."""

    @pytest.fixture(autouse=True)
    def many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mongo_facets, "VALUES_SENT_MAX", 0)


NAMES = (
    *("media_type", "tag", "cluster", "look", "colour", "size", "shape", "duplicated"),
    *("first_seen", "metadata.sku", "metadata.price", "metadata.on", "metadata.none"),
)


@pytest.mark.parametrize("sent", [0, 5_000])
async def test_many_values_are_counted_as_on_postgres(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, sent: int
) -> None:
    monkeypatch.setattr(mongo_facets, "VALUES_SENT_MAX", sent)
    pictures = [
        Picture(
            {
                "sku": f"s{n % 97}é" if n % 2 else f"S{n % 13}",
                "price": [n % 50, str(n / 4), "-0.0"],
                "on": f"{1990 + n % 70}-{n % 12 + 1:02}-{n % 28 + 1:02}",
            },
            400 if n % 3 else None,
            300 if n % 3 else None,
            rgb=0x010203 * (n % 80),
        )
        for n in range(300)
    ]
    run = await commit_pictures(stores, "nike", pictures)
    found = await stores.facets.facets(run.id, wanted(*NAMES))
    kinds = {each.name: each.kind for each in found.facets}
    assert (kinds["metadata.price"], kinds["metadata.on"]) == ("numbers", "days")
    assert facet(found, "metadata.on").more > 0
    given: list[dict[str, Any]] = [{"shape": "landscape"}, {"text": "S1"}, {"colour_name": "black"}]
    for matching in given:
        await stores.facets.facets(run.id, wanted(*NAMES, limit=5, **matching))
    after = Position(2, "s1é")
    await stores.facets.facets(run.id, wanted("metadata.sku", limit=5, after=after))
    await stores.facets.facets(run.id, wanted("metadata.sku", "size"), scan=77)
    await commit_pictures(stores, "puma", pictures[:20])
    await stores.facets.facets_anywhere(wanted(*NAMES), scan=60)
