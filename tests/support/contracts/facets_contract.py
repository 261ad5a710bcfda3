"""What every adapter must do for facets: counts beside the other filters, bounded, page by page.

A subclass gives the fixture ``stores``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import orjson
import pytest

from tests.support.contracts.search_contract import mark
from tests.support.contracts.stores_contract import POLICY
from triptych.api.column_filters import column_filters
from triptych.errors import RunNotFound, SearchUnavailable
from triptych.gather.urls import item_key
from triptych.model import Colour, ItemResult, NewItem, Run, RunKind, Staged
from triptych.snapshots.facets import FacetShown, FacetsShown, FacetsWanted, Position
from triptych.snapshots.snapshot_store import AssetFilter
from triptych.wiring.stores import Stores

LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Picture:
    """An asset to commit."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    width: int | None = 400
    height: int | None = 300
    rgb: int = 0xFF0000
    media_type: str = "image/png"


async def commit_pictures(
    stores: Stores, brand: str, pictures: Sequence[Picture], *, kind: RunKind = RunKind.FULL
) -> Run:
    """Commit a snapshot whose asset ``n`` is at ``https://x/n``."""
    run_id = uuid4()
    await stores.runs.open_run(
        brand,
        run_id=run_id,
        kind=kind,
        source=None,
        policy=POLICY,
        enqueue_gather_message=False,
    )
    urls = [f"https://x/{number}" for number in range(len(pictures))]
    rows = [
        NewItem(item_key(url), url, picture.metadata)
        for url, picture in zip(urls, pictures, strict=True)
    ]
    await stores.runs.expect(run_id, rows, cursor=None, limit=LIMIT)
    results = [
        ItemResult(row.key, _staged(row.url, picture))
        for row, picture in zip(rows, pictures, strict=True)
    ]
    await stores.runs.settle(run_id, results, limit=LIMIT)
    await stores.runs.seal(run_id)
    return await stores.runs.commit(run_id)


def _staged(url: str, picture: Picture) -> Staged:
    sha256 = hashlib.sha256(url.encode()).digest()
    return Staged(
        sha256=sha256,
        object_key=f"sha256/{sha256.hex()}",
        media_type=picture.media_type,
        size_bytes=10,
        width=picture.width,
        height=picture.height,
        phash=None if picture.width is None else 0,
        embedding=None,
        model=None,
        colours=(Colour(picture.rgb, 0.95), Colour(0xFFFFFF, 0.05)),
    )


def wanted(*names: str, limit: int = 50, after: Position | None = None, **given: Any) -> Any:
    return FacetsWanted(names, AssetFilter(**given), limit, 30.0, after)


def counts(found: FacetsShown, name: str) -> dict[str, int]:
    return {count.value: count.count for count in facet(found, name).counts}


def facet(found: FacetsShown, name: str) -> FacetShown:
    (shown,) = (each for each in found.facets if each.name == name)
    return shown


PICTURES = [
    Picture({"color": "red", "price": 10}, 400, 300, 0xFF0000),
    Picture({"color": ["red", "blue"], "price": "12.5"}, 300, 400, 0x0000FF),
    Picture({"color": "blue"}, 400, 400, 0x0000FF, "image/jpeg"),
    Picture({"color": {"odd": 1}}, 5000, 400, 0x000000, "image/jpeg"),
    Picture({}, None, None, 0x000000, "video/mp4"),
]


class FacetsContract:
    """Counts of a snapshot, and of all current ones."""

    async def test_every_property_is_counted(self, stores: Stores) -> None:
        run = await commit_pictures(stores, "nike", PICTURES)
        names = ("media_type", "size", "shape", "colour", "duplicated", "metadata.color")
        found = await stores.facets.facets(run.id, wanted(*names))
        assert (found.run, found.assets, found.looked_at, found.of) == (run.id, 5, 5, 5)
        assert found.exact
        assert [each.name for each in found.facets] == list(names)
        assert counts(found, "media_type") == {"image/jpeg": 2, "image/png": 2, "video/mp4": 1}
        assert counts(found, "size") == {"small": 3, "huge": 1}
        assert facet(found, "size").without == 1
        assert counts(found, "shape") == {
            "landscape": 1,
            "portrait": 1,
            "square": 1,
            "panorama": 1,
        }
        assert counts(found, "colour") == {"blue": 2, "black": 2, "red": 1}
        assert counts(found, "duplicated") == {"false": 5}
        assert counts(found, "metadata.color") == {"red": 2, "blue": 2}
        assert facet(found, "metadata.color").without == 2
        assert {each.name: each.count for each in found.columns} == {"color": 4, "price": 2}

    async def test_marks_are_counted(self, stores: Stores) -> None:
        run = await commit_pictures(stores, "nike", PICTURES)
        await mark(
            stores,
            run,
            [f"https://x/{n}" for n in range(3)],
            tags=[["shoe", "red"], ["shoe"], None],
            cluster=["a", "a", None],
            duplicates=[None, "d", "d"],
            look=["logo", None, "photo"],
        )
        names = ("tag", "cluster", "look", "duplicated")
        found = await stores.facets.facets(run.id, wanted(*names))
        assert counts(found, "tag") == {"shoe": 2, "red": 1}
        assert [each.without for each in found.facets] == [3, 3, 3, 0]
        assert counts(found, "cluster") == {"a": 2}
        assert counts(found, "duplicated") == {"false": 3, "true": 2}
        found = await stores.facets.facets(run.id, wanted(*names, tag="red"))
        assert found.assets == 1
        assert counts(found, "tag") == {"shoe": 2, "red": 1}
        assert counts(found, "cluster") == {"a": 1}

    async def test_a_facet_follows_the_other_filters_and_not_its_own(self, stores: Stores) -> None:
        run = await commit_pictures(stores, "nike", PICTURES)
        names = ("media_type", "shape", "metadata.color")
        found = await stores.facets.facets(
            run.id, wanted(*names, media_type="image/*", shape="square")
        )
        assert found.assets == 1
        assert counts(found, "media_type") == {"image/jpeg": 1}
        assert counts(found, "shape") == {
            "landscape": 1,
            "panorama": 1,
            "portrait": 1,
            "square": 1,
        }
        assert counts(found, "metadata.color") == {"blue": 1}
        red = column_filters('{"color": "red"}')
        found = await stores.facets.facets(run.id, wanted(*names, columns=red))
        assert found.assets == 2
        assert counts(found, "metadata.color") == {"red": 2, "blue": 2}
        assert counts(found, "shape") == {"landscape": 1, "portrait": 1}

    async def test_each_count_has_the_query_that_finds_as_many(self, stores: Stores) -> None:
        pictures = [
            *PICTURES,
            *(Picture({"price": n, "day": f"2026-{n % 12 + 1:02}-03"}) for n in range(1, 60)),
        ]
        run = await commit_pictures(stores, "nike", pictures)
        columns = ("metadata.color", "metadata.price", "metadata.day")
        names = ("media_type", "size", "shape", "colour", "first_seen", *columns)
        found = await stores.facets.facets(run.id, wanted(*names))
        tried = 0
        for each in found.facets:
            for count in each.counts:
                given: dict[str, Any] = dict(count.query)
                if "metadata" in given:
                    given["columns"] = column_filters(given.pop("metadata"))
                page = await stores.snapshots.assets_slice(
                    run.id, AssetFilter(**given), after=b"", limit=500
                )
                assert (len(page.rows), page.next) == (count.count, None), (each.name, count)
                tried += 1
        assert tried > 30

    async def test_numbers_and_dates_are_counted_in_buckets(self, stores: Stores) -> None:
        pictures = [
            Picture({"price": str(n / 2), "on": f"2026-{n % 12 + 1:02}-{n % 28 + 1:02}T10:00:00Z"})
            for n in range(200)
        ]
        pictures.append(Picture({"price": "ask us", "on": "soon"}))
        run = await commit_pictures(stores, "nike", pictures)
        found = await stores.facets.facets(run.id, wanted("metadata.price", "metadata.on"))
        price = facet(found, "metadata.price")
        assert (price.kind, price.unlike, price.without, price.more) == ("numbers", 1, 0, 0)
        assert [(each.value, each.below, each.count) for each in price.counts[:2]] == [
            ("0", 5.0, 10),
            ("5", 10.0, 10),
        ]
        assert sum(each.count for each in price.counts) == 200
        on = facet(found, "metadata.on")
        assert (on.kind, on.unlike) == ("days", 1)
        assert [each.value for each in on.counts] == [f"2026-{month:02}" for month in range(1, 13)]
        assert sum(each.count for each in on.counts) == 200
        few = await stores.facets.facets(
            run.id, wanted("metadata.price", columns=column_filters('{"on": {"day": "2026-03"}}'))
        )
        assert 0 < few.assets < 20

    async def test_values_come_in_pages(self, stores: Stores) -> None:
        pictures = [Picture({"sku": f"s{n % 30:02}"}) for n in range(45)]
        run = await commit_pictures(stores, "nike", pictures)
        seen: list[tuple[str, int]] = []
        after: Position | None = None
        for _ in range(10):
            found = await stores.facets.facets(run.id, wanted("metadata.sku", limit=7, after=after))
            (shown,) = found.facets
            seen += [(each.value, each.count) for each in shown.counts]
            assert shown.more == 30 - len(seen)
            if not shown.more:
                break
            after = Position(seen[-1][1], seen[-1][0])
        assert seen == [
            *((f"s{n:02}", 2) for n in range(15)),
            *((f"s{n:02}", 1) for n in range(15, 30)),
        ]

    async def test_a_large_snapshot_is_sampled_and_says_so(self, stores: Stores) -> None:
        run = await commit_pictures(stores, "nike", [Picture() for _ in range(40)])
        found = await stores.facets.facets(run.id, wanted("shape"), scan=10)
        assert (found.assets, found.looked_at, found.of) == (10, 10, 40)
        assert not found.exact
        assert counts(found, "shape") == {"landscape": 10}

    async def test_all_brands_are_counted_or_those_of_a_key(self, stores: Stores) -> None:
        await commit_pictures(stores, "nike", PICTURES[:3])
        await commit_pictures(stores, "puma", PICTURES[:1])
        await commit_pictures(stores, "puma", PICTURES[:2])
        found = await stores.facets.facets_anywhere(wanted("shape"))
        assert (found.run, found.assets, found.of) == (None, 5, 5)
        found = await stores.facets.facets_anywhere(
            wanted("shape"), among=frozenset({"puma", "no such"})
        )
        assert counts(found, "shape") == {"landscape": 1, "portrait": 1}
        nothing = await stores.facets.facets_anywhere(wanted("shape"), among=frozenset())
        assert (nothing.assets, nothing.of, nothing.exact) == (0, 0, True)

    async def test_an_asset_keeps_the_day_on_which_it_was_first_seen(self, stores: Stores) -> None:
        first = await commit_pictures(stores, "nike", PICTURES[:2])
        second = await commit_pictures(stores, "nike", PICTURES)
        found = await stores.facets.facets(second.id, wanted("first_seen"))
        assert first.ended_at is not None
        assert second.ended_at is not None
        days = {run.ended_at.date().isoformat() for run in (first, second) if run.ended_at}
        assert counts(found, "first_seen").keys() <= days
        assert sum(counts(found, "first_seen").values()) == 5

    async def test_hostile_metadata_is_counted_or_left_out(self, stores: Stores) -> None:
        odd: list[Any] = [
            1e300,
            -0.0,
            0.1,
            2**53,
            "x" * 201,
            " ",
            "1e999",
            "2026-13-01",
            "2026-02-30",
            None,
            [[1], {"a": 1}, "in", True],
            "%_\\",
            "\u202e",
        ]
        pictures = [Picture({"a.b": each, "$c": each, "": each}) for each in odd]
        run = await commit_pictures(stores, "nike", pictures)
        found = await stores.facets.facets(run.id, wanted("metadata.a.b", "metadata.$c"))
        shown = counts(found, "metadata.a.b")
        assert shown == counts(found, "metadata.$c")
        assert {"in", "true", "%_\\", "\u202e", "1e999", "0.1"} <= shown.keys()
        # 1e300 has more than 200 digits, as have the letters; the others have nothing to show.
        assert facet(found, "metadata.a.b").without == 4
        for each in facet(found, "metadata.a.b").counts:
            given = column_filters(orjson.loads(orjson.dumps(each.query))["metadata"])
            page = await stores.snapshots.assets_slice(
                run.id, AssetFilter(columns=given), after=b"", limit=50
            )
            assert len(page.rows) == each.count, each

    async def test_what_cannot_be_counted_is_refused(self, stores: Stores) -> None:
        with pytest.raises(RunNotFound):
            await stores.facets.facets(uuid4(), wanted("shape"))
        run = await commit_pictures(stores, "nike", [Picture({"n": n}) for n in range(1000)])
        with pytest.raises(SearchUnavailable):
            await stores.facets.facets(run.id, FacetsWanted(["metadata.n"], AssetFilter(), 5, 1e-3))
