"""Chaos in the embedded shape, as seeded: whatever happens, the invariants hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.chaos.schedule import ShapeName
from tests.support.chaos.seeds import seeds
from tests.support.chaos.trial import Trial

# One at a time: a trial keeps two cores busy. Connections that it cuts are collected, not closed.
pytestmark = [
    pytest.mark.prove,
    pytest.mark.xdist_group("chaos"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.mark.parametrize("seed", seeds(ShapeName.EMBEDDED))
async def test_g1_g2_g3_g4_g5_g6_g7_hold_after_chaos(seed: int, tmp_path: Path) -> None:
    report = await Trial(seed, ShapeName.EMBEDDED, tmp_path).run()
    print(report)
    assert not report.violations, str(report)
