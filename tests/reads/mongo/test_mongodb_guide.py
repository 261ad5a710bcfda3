"""The pipelines of the guide count what there is, on what an edition's documents are."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest

from tests.support.projecting import edition, edition_asset, project
from triptych.reads.edition import EditionAsset
from triptych.reads.mongo.connection import MongoConnection
from triptych.reads.mongo.documents import asset_documents
from triptych.reads.mongo.mongo_projection import MongoProjection
from triptych.snapshots.asset_classes import colour_names

pytestmark = pytest.mark.integration

GUIDE = (Path(__file__).parents[3] / "docs" / "guides" / "mongodb.md").read_text(encoding="utf-8")
PIPELINES = re.findall(r"```json\n(.*?)```", GUIDE, re.DOTALL)
COUNT = 60


async def rows_of(mongodb: MongoConnection, place: int) -> list[dict[str, Any]]:
    document = await mongodb.collection("brands").find_one({"_id": "nike"})
    assert document is not None
    named = document["visible"]["edition"]
    pipeline = json.loads(PIPELINES[place].replace("EDITION", named))
    return await (await mongodb.collection("assets").aggregate(pipeline)).to_list()


@pytest.fixture
async def assets(mongodb: MongoConnection) -> list[EditionAsset]:
    """What is shown, after an older edition that still is there."""
    projection = MongoProjection(mongodb)
    await projection.open("unicode")
    old, new = edition(1), edition(2, 5)
    await project(projection, "nike", old, [edition_asset(old, n) for n in range(3)])
    made = [
        edition_asset(
            new,
            n,
            metadata={"category": ["shoes", "bags", None][n % 3], "price": n if n % 4 else "ask"},
            marks={
                "tags": [["logo"], ["shoe", "logo"], []][n % 3],
                **({"duplicates": f"d{n % 5}"} if n % 2 else {}),
            },
            rgb=[0xFF0000, 0x0000FF][n % 2],
        )
        for n in range(COUNT)
    ]
    assert await project(projection, "nike", new, made)
    return made


async def test_categories_and_what_they_cost(
    mongodb: MongoConnection, assets: list[EditionAsset]
) -> None:
    prices: dict[Any, list[float]] = defaultdict(list)
    for each in assets:
        metadata = each.asset.metadata
        if metadata["price"] != "ask":
            prices[metadata["category"]].append(metadata["price"])
    found = await rows_of(mongodb, 0)
    assert {row["_id"]: (row["pictures"], row["price"]) for row in found} == {
        name: (len(some), pytest.approx(sum(some) / len(some))) for name, some in prices.items()
    }


async def test_duplicates_and_their_bytes(
    mongodb: MongoConnection, assets: list[EditionAsset]
) -> None:
    sizes: Counter[str] = Counter()
    for each in assets:
        if "duplicates" in each.marks:
            sizes[each.marks["duplicates"]] += each.asset.size_bytes
    found = await rows_of(mongodb, 1)
    assert [(row["_id"], row["bytes"]) for row in found] == sizes.most_common()
    assert sum(row["pictures"] for row in found) == COUNT // 2


async def test_colours_and_tags(mongodb: MongoConnection, assets: list[EditionAsset]) -> None:
    pairs = Counter(
        (tag, colour)
        for each in assets
        for tag in each.marks["tags"]
        for colour in colour_names(each.asset.colours)
    )
    found = await rows_of(mongodb, 2)
    assert {(row["_id"]["tag"], row["_id"]["colour"]): row["pictures"] for row in found} == pairs
    assert len(PIPELINES) == 3


def test_the_guide_names_every_field_of_a_document() -> None:
    given = edition_asset(edition(), 1, metadata={"a.b": 1}, marks={"own": 1})
    (table,) = re.findall(r"\| field \|.*?\n\n", GUIDE, re.DOTALL)
    named = set(re.findall(r"`(\w+)`", table))
    fields = set(asset_documents("nike", edition(), given).document) - {"_id"}
    assert fields - named == set()
