"""Work that needs a migration which is still to be applied is held, and loses no attempt."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.support.local_pipeline import ended, local_at
from tests.support.restarting_site import restarting_site, write_list
from tests.support.waiting import until_true
from triptych.model import RunState

pytestmark = [pytest.mark.integration, pytest.mark.prove]

URLS = 12


async def test_items_wait_until_the_database_is_migrated(tmp_path: Path) -> None:
    settings = {"visibility_s": 2.0, "quiet_s": 1.0, "resend_s": 1.0}
    async with restarting_site() as site, local_at(tmp_path, **settings) as local:
        (database, *_) = local.stores.databases
        await database.fetch("alter table staged rename column phash to later")
        source = write_list(tmp_path, [site.url(number) for number in range(URLS)])
        with capture_logs() as logs:
            opened = await local.submit("nike", source=source)
            await until_true(lambda: "lacks what this needs" in str(logs))
        run = await local.stores.runs.run(opened.id)
        assert (run.state, run.done, run.failed) == (RunState.ACTIVE, 0, 0)
        await database.fetch("alter table staged rename column later to phash")
        run = await ended(local, opened.id)
        assert (run.state, run.done, run.failed) == (RunState.COMMITTED, URLS, 0)
        rows = await database.fetch("select attempts from items where run_id = $1", run.id)
        assert Counter(row["attempts"] for row in rows).keys() <= {0, 1}
