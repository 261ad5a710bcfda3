"""Tests that share what is made once for them run in one process."""

from __future__ import annotations

import pytest


@pytest.mark.xdist_group("kept")
def test_groups_are_kept_together(request: pytest.FixtureRequest) -> None:
    # xdist reads the group from the test's id, where it has to be able to write it.
    if getattr(request.config.option, "loadgroup", False):
        assert request.node.nodeid.endswith("@kept")
