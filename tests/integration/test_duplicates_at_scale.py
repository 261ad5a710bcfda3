"""G8: duplicates of a brand of 100,000 in bounded memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

PATIENCE_S = 1_800
PEAK_MAX_BYTES = 1_500_000_000


@pytest.mark.prove
@pytest.mark.skipif(not os.environ.get("FULL"), reason="takes minutes of two free cores: FULL=1")
@pytest.mark.parametrize("count", [10_000, 100_000])
def test_g8_a_hundred_thousand_assets_take_bounded_memory(count: int) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.integration.duplicates_at_scale", str(count)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    told = json.loads(run.stdout)
    assert (told["missed"], told["made_up"]) == (0, 0), told
    assert told["near_groups"] == count // 100
    assert told["peak_bytes"] < PEAK_MAX_BYTES
