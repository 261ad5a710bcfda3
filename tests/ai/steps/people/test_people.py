"""A brand's people: pictures with none, one and a group; what was not looked at is counted."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from tests.support.snapshots import snapshot_of, unit
from triptych.ai.context import AssetStepOutcome, Context
from triptych.ai.steps.people.people import PEOPLE_IN_PICTURES
from triptych.features.feature_store import Feature
from triptych.features.picture_people import Face, PicturePeople


@dataclass
class LookedAt:
    """Faces' sides by row; None cannot be read."""

    faces: dict[int, list[float] | None]
    problem: str | None = None

    def outcome(self, step: str) -> AssetStepOutcome | None:
        return AssetStepOutcome(error=self.problem) if step == "people" else None

    def read(self, step: str) -> Iterable[tuple[int, Feature]]:
        assert step == "people"
        for row, sides in self.faces.items():
            if sides is None:
                yield row, Feature(bytes(32), None, "broken")
            else:
                people = PicturePeople.with_faces([Face(0.9, 0, 0, side, side) for side in sides])
                yield row, Feature(bytes(32), people.as_result())


def test_pictures_are_counted_by_their_people() -> None:
    snapshot = snapshot_of(unit(np.ones((8, 4))), phash=[0] * 8)
    faces = {0: [0.5], 1: [], 2: [0.1], 3: [0.4, 0.1], 4: None, 6: [0.1] * 9}
    context = Context(features=LookedAt(faces, "no model"))
    found = PEOPLE_IN_PICTURES.run(replace(snapshot, context=context))
    keys = [snapshot.key(row) for row in range(8)]
    assert found == {
        "on": True,
        "looked_at": 5,
        "none": 1,
        "one": 2,
        "group": 2,
        "close_up": 2,
        "shares": {"none": 0.2, "one": 0.4, "group": 0.4, "close_up": 0.4},
        "examples": {
            "one": sorted([keys[0], keys[2]]),
            "group": sorted([keys[3], keys[6]]),
            "close_up": sorted([keys[0], keys[3]]),
        },
        "unreadable": 1,
        "not_looked_at_yet": 2,
        "problem": "no model",
    }


def test_nothing_is_said_where_nobody_is_looked_for_or_nothing_was_looked_at() -> None:
    snapshot = snapshot_of(unit(np.ones((2, 4))), phash=[0] * 2)
    assert PEOPLE_IN_PICTURES.run(snapshot) == {"on": False}
    waiting = PEOPLE_IN_PICTURES.run(replace(snapshot, context=Context(features=LookedAt({}))))
    assert isinstance(waiting, dict)
    assert (waiting["looked_at"], waiting["not_looked_at_yet"]) == (0, 2)
    assert waiting["shares"] == {"none": 0, "one": 0, "group": 0, "close_up": 0}
