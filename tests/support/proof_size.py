"""How much of a proof is run: what CI has time for, or all of it, before a release."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TypeVar

VARIABLE = "FULL"
"""`make prove FULL=1` runs proofs at full size."""

T = TypeVar("T")


def by_size(reduced: T, full: T, environment: Mapping[str, str] = os.environ) -> T:
    """Return `full` where the environment asks for full size, else `reduced`.

    Both must show the same faults: the full size repeats more, or lets what grows grow further.
    """
    return full if environment.get(VARIABLE) == "1" else reduced
