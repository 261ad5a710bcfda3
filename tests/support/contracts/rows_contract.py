"""How every store counts the rows of a source, and keeps what each says."""

from __future__ import annotations

from uuid import uuid4

from tests.support.contracts.stores_contract import (
    LIMIT,
    POLICY,
    CommonStores,
    done,
    failed,
    new_items,
    open_run,
)
from triptych.model import (
    ALSO_MAX,
    NewItem,
    RunKind,
)
from triptych.runs.run_store import (
    REFUSED_ROWS_MAX,
    RefusedRow,
    RowsRead,
)


class RowsContract:
    """Each row is an item, is merged with another of its URL, or is refused."""

    async def test_each_row_is_an_item_is_merged_or_is_refused(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        without_url = [RefusedRow(f"line {n}", "There is no URL in src.") for n in (5, 6)]
        rows = RowsRead(7, without_url, from_start=True)
        await stores.runs.expect(
            run_id, [*new_items(3), *new_items(2)], cursor="a", limit=LIMIT, rows=rows
        )
        await stores.runs.expect(run_id, new_items(4), cursor="b", limit=LIMIT)
        run = await stores.runs.run(run_id)
        assert (run.rows_read, run.expected, run.rows_merged, run.rows_refused) == (11, 4, 5, 2)
        assert list(await stores.runs.refused_rows(run_id)) == without_url

    async def test_rows_of_one_url_keep_all_their_metadata(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        key = new_items(1)[0].key
        rows = [NewItem(key, "https://x/0", {"sku": f"S{n}"}) for n in (1, 2, 3, 2)]
        for _ in range(2):  # As after a crash.
            await stores.runs.expect(run_id, rows[:3], cursor=None, limit=LIMIT)
            await stores.runs.expect(run_id, rows[3:], cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        (item,) = await stores.runs.items(run_id, [key])
        await stores.runs.settle(run_id, [done(item)], limit=LIMIT)
        await stores.runs.commit(run_id)
        asset = await stores.snapshots.asset("nike", key)
        assert (asset.metadata, list(asset.also)) == ({"sku": "S1"}, [{"sku": "S2"}, {"sku": "S3"}])
        added = (
            await stores.runs.open_run(
                "nike",
                run_id=uuid4(),
                kind=RunKind.ADD,
                source=None,
                policy=POLICY,
                enqueue_gather_message=False,
            )
        ).run.id
        await stores.runs.seal(added)
        await stores.runs.commit(added)
        carried = await stores.snapshots.asset("nike", key)
        assert (carried.run_id, carried.also) == (added, asset.also)

    async def test_further_metadata_are_bounded(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        key = new_items(1)[0].key
        rows = [NewItem(key, "https://x/0", {"n": n}) for n in range(ALSO_MAX + 5)]
        (item,) = await stores.runs.expect(run_id, rows, cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [done(item)], limit=LIMIT)
        await stores.runs.commit(run_id)
        asset = await stores.snapshots.asset("nike", key)
        assert [each["n"] for each in asset.also] == list(range(1, ALSO_MAX + 1))
        assert (await stores.runs.run(run_id)).rows_merged == ALSO_MAX + 4

    async def test_rows_that_are_read_again_from_the_start_are_counted_once(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        adopted = NewItem(b"a" * 16, "https://x/by-message", {})
        await stores.runs.accept_external(
            "nike", adopted, message_id="m1", run_id=uuid4(), policy=POLICY
        )
        for _ in range(2):
            rows = RowsRead(4, [RefusedRow("line 5", "No URL.")], from_start=True)
            await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT, rows=rows)
        run = await stores.runs.run(run_id)
        assert (run.rows_read, run.expected, run.rows_merged, run.rows_refused) == (5, 4, 0, 1)
        assert len(await stores.runs.refused_rows(run_id)) == 1

    async def test_the_first_refused_rows_are_kept_and_all_are_counted(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        each = REFUSED_ROWS_MAX - 1
        for page in range(2):
            refused = [RefusedRow(f"page {page} line {n}\0", "No \0URL.") for n in range(each)]
            await stores.runs.expect(
                run_id, [], cursor=str(page), limit=LIMIT, rows=RowsRead(each, refused)
            )
        run = await stores.runs.run(run_id)
        kept = await stores.runs.refused_rows(run_id)
        assert (run.rows_read, run.rows_refused, len(kept)) == (2 * each, 2 * each, each + 1)
        assert kept[-1].place.startswith("page 1 line 0")

    async def test_a_redriven_items_row_is_its_own(self, stores: CommonStores) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(3), cursor=None, limit=LIMIT)
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [failed(item) for item in items], limit=LIMIT)
        await stores.runs.commit(run_id)
        run = (await stores.runs.redrive_run(run_id, new_id=uuid4(), policy=POLICY)).run
        assert (run.rows_read, run.expected, run.rows_merged) == (3, 3, 0)
