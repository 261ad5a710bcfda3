"""The seeds that `make prove` runs, or those that the environment names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from tests.support.chaos.schedule import ShapeName
from tests.support.proof_size import by_size

VARIABLE = "TRIPTYCH_CHAOS_SEED"
"""Seeds to run instead, in both shapes: `7`, `7,9` or `1-20`."""
PROVED: Mapping[ShapeName, Sequence[int]] = {
    ShapeName.EMBEDDED: by_size((1, 2, 3), (1, 2, 3, 4)),
    ShapeName.AWS: by_size((1,), (1, 2, 3)),
}
"""Of either size they have every kind of action together."""


def seeds(shape: ShapeName, environment: Mapping[str, str] = os.environ) -> Sequence[int]:
    """Return the seeds to run.

    Raises:
        ValueError: the variable is none of the three forms.
    """
    named = environment.get(VARIABLE)
    return PROVED[shape] if not named else [n for part in named.split(",") for n in _range(part)]


def _range(part: str) -> range:
    first, _, last = part.partition("-")
    return range(int(first), int(last or first) + 1)
