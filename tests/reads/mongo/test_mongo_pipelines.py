"""What is sent to the server: nothing that Amazon DocumentDB lacks, and no long work in one go."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from tests.support.projecting import brand_row, edition, edition_asset, project, whole
from triptych.model import RunState
from triptych.reads.mongo import mongo_facets
from triptych.reads.mongo.connection import MongoConnection
from triptych.reads.mongo.mongo_projection import MongoProjection
from triptych.reads.mongo.mongo_reads import mongo_read_stores
from triptych.snapshots.facets import OWN_FILTER, FacetsWanted, Position
from triptych.snapshots.snapshot_store import AssetFilter, ColumnFilter, NearColour

pytestmark = pytest.mark.integration

COMMANDS = {
    *("aggregate", "find", "getMore", "insert", "update", "delete", "findAndModify"),
    *("createIndexes", "hello", "ping", "endSessions", "killCursors"),
}
OPERATORS = {
    *("$match", "$sort", "$limit", "$project", "$addFields", "$unwind", "$group", "$skip"),
    *("$and", "$or", "$in", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$elemMatch"),
    *("$map", "$filter", "$let", "$cond", "$ifNull", "$literal", "$size", "$arrayElemAt"),
    *("$concatArrays", "$anyElementTrue", "$indexOfBytes", "$substrBytes"),
    *("$add", "$subtract", "$multiply", "$divide", "$floor", "$sum", "$min", "$max"),
    *("$set", "$setOnInsert", "$push", "$pull"),
}
"""All of them are in Amazon DocumentDB 5.0."""
OPTIONS_MISSING = {
    *("collation", "txnNumber", "startTransaction", "autocommit", "partialFilterExpression"),
    *("let", "hint", "allowDiskUse", "returnKey", "showRecordId"),
}
OF_THE_DRIVER = {"lsid", "$db", "$clusterTime", "$readPreference", "documents"}
"""What the driver adds, and the documents that are written, whose fields are data."""
TIMED = {"find", "aggregate"}
UNTIMED = {"brands", "editions", "$cmd.aggregate"}
"""Collections of a document a brand, or an edition."""


def not_in_documentdb(command: Mapping[str, Any]) -> list[str]:
    """Return what a command has that is not known to be in Amazon DocumentDB."""
    name = next(iter(command))
    found = [] if name in COMMANDS else [f"the command {name}"]
    fields = {key: value for key, value in command.items() if key not in OF_THE_DRIVER}
    found += [key for key in fields if key in OPTIONS_MISSING]
    return found + list(_operators(fields))


def _operators(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            if key in OPTIONS_MISSING - {"let"}:
                yield key
            if key.startswith("$"):
                if key not in OPERATORS:
                    yield key
                if key == "$literal":
                    continue
            yield from _operators(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _operators(each)


class Recorder(CommandListener):
    def __init__(self) -> None:
        self.commands: list[Mapping[str, Any]] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.commands.append(event.command)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


EVERYTHING = AssetFilter(
    media_type="image/*",
    text="$x",
    colour=NearColour(0xFF0000, 765),
    colour_name="red",
    shape="landscape",
    size="small",
    first_seen="2026",
    columns=(
        ColumnFilter("price", ("1", "2")),
        ColumnFilter("price", numbers=(0, 5)),
        ColumnFilter("on", day="2026-01"),
    ),
    tag="shoe",
    cluster="a",
    duplicates="d",
    duplicated=True,
    look="logo",
    outlier=0.1,
)


@pytest.fixture
def recorder(mongodb: MongoConnection) -> Recorder:
    made = Recorder()
    mongodb._options |= {"event_listeners": [made]}
    return made


async def use_everything(mongodb: MongoConnection, monkeypatch: pytest.MonkeyPatch) -> None:
    projection = MongoProjection(mongodb)
    await projection.open("unicode")
    old, new = edition(1, 1), edition(2, 2)
    marks = {
        "tags": ["shoe"],
        "cluster": "a",
        "duplicates": "d",
        "look": "logo",
        "outlier": 0.5,
        "x": 0.5,
    }
    for each in (old, new):
        some = [
            edition_asset(
                each, n, metadata={"price": n, "on": f"2026-01-{n + 1:02}", "$x": n}, marks=marks
            )
            for n in range(20)
        ]
        of = whole(20, run=each.run, points=4)
        assert await project(projection, "nike", each, some, of=of)
    await projection.put_brands([brand_row("nike", new, version=n) for n in (3, 2)])
    await projection.drop_older("nike", keep=[], grace_s=0)
    await read_everything(mongodb, new.run, monkeypatch)
    await projection.shown()
    await mongodb.check()
    await projection.forget("nike")


async def read_everything(
    mongodb: MongoConnection, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = mongo_read_stores(mongodb)
    found = await reads.snapshots.assets_slice(run, EVERYTHING, after=b"", limit=9)
    assert [asset.metadata["price"] for asset in found.rows] == [1, 2][: len(found.rows)]
    assert found.rows
    key = found.rows[0].key
    await reads.snapshots.assets_slice(run, AssetFilter(), after=key, limit=3)
    await reads.snapshots.asset_and_marks("nike", key)
    await reads.snapshots.marks(run, [key])
    await reads.snapshots.insights(run)
    await reads.snapshots.snapshots_slice("nike", before=None, limit=3)
    await reads.brands.brands_slice(
        after="", name="N", state=RunState.COMMITTED, limit=3, among=frozenset({"nike"})
    )
    await reads.brands.scheduled("nike")
    await reads.runs.runs_of([run])
    await reads.maps.points(run, limit=3)
    names = [*OWN_FILTER, "metadata.price", "metadata.on", "metadata.$x"]
    for sent in (5_000, 0):
        monkeypatch.setattr(mongo_facets, "VALUES_SENT_MAX", sent)
        for matching in (AssetFilter(), EVERYTHING):
            await reads.facets.facets(run, FacetsWanted(names, matching, 5, 30.0))
        after = Position(1, "a")
        one = FacetsWanted(["metadata.price"], AssetFilter(), 5, 30.0, after)
        await reads.facets.facets(run, one, scan=10)
        await reads.facets.facets_anywhere(FacetsWanted(names, AssetFilter(), 5, 30.0))


async def test_nothing_is_sent_that_documentdb_lacks(
    mongodb: MongoConnection, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use_everything(mongodb, monkeypatch)
    wrong = {each for command in recorder.commands for each in not_in_documentdb(command)}
    assert wrong == set()
    sent = {next(iter(command)) for command in recorder.commands}
    assert {"aggregate", "find", "insert", "update", "delete", "createIndexes"} <= sent
    used = {key for command in recorder.commands for key in _all_keys(command)}
    assert OPERATORS - used == {"$skip", "$eq"} - used, "only what is used is allowed"
    assert sum("pipeline" in command for command in recorder.commands) > 20


async def test_every_query_of_assets_has_a_deadline_at_the_server(
    mongodb: MongoConnection, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use_everything(mongodb, monkeypatch)
    untimed = [
        command
        for command in recorder.commands
        if (name := next(iter(command))) in TIMED
        and command[name] not in UNTIMED
        and "maxTimeMS" not in command
    ]
    assert untimed == []


def _all_keys(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield key
            yield from _all_keys(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _all_keys(each)


@pytest.mark.parametrize(
    "command",
    [
        {"aggregate": "assets", "pipeline": [{"$facet": {}}]},
        {"aggregate": "assets", "pipeline": [{"$match": {"$expr": {"$eq": [1, 1]}}}]},
        {"aggregate": "assets", "pipeline": [{"$bucketAuto": {}}]},
        {"aggregate": "assets", "pipeline": [{"$group": {"_id": {"$toDouble": "$x"}}}]},
        {"aggregate": "assets", "pipeline": [{"$setWindowFields": {}}]},
        {"aggregate": "assets", "pipeline": [{"$merge": {}}]},
        {"aggregate": "assets", "pipeline": [], "collation": {}},
        {"find": "assets", "filter": {"$text": {}}},
        {"find": "assets", "filter": {"a": {"$literal": {"$facet": 1}, "$facet": 1}}},
        {"createIndexes": "a", "indexes": [{"partialFilterExpression": {}}]},
        {"update": "a", "updates": [{"u": [{"$replaceWith": {}}]}]},
        {"commitTransaction": 1},
        {"insert": "a", "documents": [], "txnNumber": 1},
        {"mapReduce": "assets"},
    ],
    ids=lambda command: str(command)[:60],
)
def test_what_documentdb_lacks_is_found(command: Mapping[str, Any]) -> None:
    assert not_in_documentdb(command) != []


def test_data_are_no_operators() -> None:
    insert = {"insert": "a", "documents": [{"$facet": 1}]}
    assert not_in_documentdb(insert) == []
    find = {"find": "a", "filter": {"a": {"$eq": {"$literal": {"$facet": 1}}}}}
    assert not_in_documentdb(find) == []
