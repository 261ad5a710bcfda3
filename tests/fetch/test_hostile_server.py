"""One fetch of each way to be hostile: its reason, in time, with nothing left behind.

Each host answers for its robots.txt first, so what it does to a URL is that URL's own failure.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.support.fetching import opened_fetcher
from tests.support.hostile_server import WAYS, serving, url_of
from triptych.errors import ItemError
from triptych.media.decode import decode
from triptych.model import Reason

pytestmark = pytest.mark.integration

PATIENCE_S = 60.0
DEADLINE_S = 1.0
MAX_BYTES = 200_000
SLOW = frozenset({Reason.TIMEOUT})


async def outcome(way: str) -> Reason | None:
    """Fetch and decode; return the reason of the failure, None for a picture."""
    deadline_s = DEADLINE_S if WAYS[way].reasons & SLOW else PATIENCE_S
    async with (
        serving() as server,
        opened_fetcher(deadline_s=deadline_s, max_bytes=MAX_BYTES, robots=True) as fetcher,
        asyncio.timeout(PATIENCE_S),
    ):
        failed: ItemError | None = None
        try:
            fetched = await fetcher.fetch(url_of(server, way))
            assert fetched is not None
            fetched.share.release()
            decode(fetched.body, size=32, max_pixels=1_000_000)
        except ItemError as error:
            failed = error
        assert fetcher._budget.held == 0, "a failed body is let go of"
    if failed is None:
        return None
    assert "\n" not in str(failed)
    assert len(failed.detail) < 1_000
    return failed.reason


@pytest.mark.parametrize("way", WAYS)
async def test_g9_each_way_to_be_hostile_has_its_reason(way: str) -> None:
    assert await outcome(way) in WAYS[way].reasons
