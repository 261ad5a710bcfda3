"""G8: duplicates of a large brand: every planted copy found, nothing made up, bounded memory.

Memory at 100,000: `test_steps_at_scale`.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support.duplicates_at_scale import EVERY
from tests.support.proof_size import by_size

pytestmark = pytest.mark.integration

COUNT, PEAK_MAX_MB = by_size((3_000, 400), (10_000, 500))
PATIENCE_S = 1_500


@pytest.mark.prove
@pytest.mark.timeout(PATIENCE_S)
def test_g8_planted_copies_are_found_in_bounded_memory() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "tests.support.duplicates_at_scale", str(COUNT)],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    told = json.loads(run.stdout)
    assert (told["missed"], told["made_up"]) == (0, 0), told
    assert told["near_groups"] == COUNT // EVERY
    assert told["peak_mb"] < PEAK_MAX_MB
