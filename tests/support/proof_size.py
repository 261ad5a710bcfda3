"""How much of a proof is run: what CI has time for, or all of it, before a release."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeVar

import pytest

VARIABLE = "FULL"
"""`make prove FULL=1` runs proofs at full size."""

T = TypeVar("T")

at_full_size = pytest.mark.prove(at_full_size=True)
"""Marks what is run at full size only: a long run of what the suite, too, runs for a while."""


def full_size(environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether proofs are run at full size."""
    return environment.get(VARIABLE) == "1"


def by_size(reduced: T, full: T, environment: Mapping[str, str] = os.environ) -> T:
    """Return `full` where the environment asks for full size, else `reduced`.

    Both must show the same faults: the full size repeats more, or lets what grows grow further.
    """
    return full if full_size(environment) else reduced


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is run at full size only, unless that is asked for; pytest counts it."""
    if full_size():
        return
    left_out = [item for item in items if _only_at_full_size(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not _only_at_full_size(item)]


def _only_at_full_size(item: pytest.Item) -> bool:
    return any(mark.kwargs.get("at_full_size") for mark in item.iter_markers("prove"))
