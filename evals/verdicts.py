"""What Triptych says of pictures, read in one place for all rooms.

Today the step `duplicates` knows one verdict, and people are found by their faces. When that
changes, only `verdicts` and `shows_people` change, and every room measures what is said then.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
import numpy.typing as npt

from triptych.ai.step import Snapshot
from triptych.ai.steps.duplicates.duplicates import find_duplicates
from triptych.features.picture_people import PEOPLE, People, PicturePeople


class Verdict(IntEnum):
    """How two pictures are related."""

    NONE = 0
    COPY = 1
    """The same picture, edited."""
    VARIANT = 2
    """The same thing: another colour, angle, ground or version."""
    TEMPLATE = 3
    """The same layout with other words or another product."""


Verdicts = npt.NDArray[np.uint8]
"""One `Verdict` for each pair of assets; symmetric, with `NONE` on the diagonal."""


def verdicts(snapshot: Snapshot) -> Verdicts:
    """Return the verdict on each pair of a snapshot's assets, in the order of its rows."""
    marks = find_duplicates(snapshot).marks["duplicates"]
    known = np.array([mark or "" for mark in marks])
    together = (known[:, None] == known[None, :]) & (known[:, None] != "")
    np.fill_diagonal(together, val=False)
    return np.where(together, Verdict.COPY, Verdict.NONE).astype(np.uint8)


def shows_people(snapshot: Snapshot) -> npt.NDArray[np.bool_]:
    """Return which of a snapshot's assets are said to show people; its context has the features."""
    shown = np.zeros(len(snapshot), np.bool_)
    for row, feature in snapshot.context.features.read(PEOPLE.name):
        people = PicturePeople.of(feature)
        shown[row] = people is not None and people.people is not People.NONE
    return shown
