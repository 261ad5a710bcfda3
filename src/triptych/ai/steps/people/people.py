"""How a brand shows people: the share of pictures with none, one or a group, and of close-ups."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from triptych.ai.step import Snapshot, Step
from triptych.features.picture_people import PEOPLE, People, PicturePeople

VERSION = 1
NONE = People.NONE.value
CLOSE_UP = "close_up"
PARTS = (*(people.value for people in People), CLOSE_UP)
EXAMPLES = 6
"""The most example assets of each part."""
SHARE_DIGITS = 4


def run(snapshot: Snapshot) -> Mapping[str, Any]:
    """Return how many pictures show people; pictures are counted, not the people in them.

    ``on`` is false where this installation looks for nobody; then there is nothing else. Else::

        looked_at          pictures that were looked at
        none, one, group   of those without a face, with one and with two or more
        close_up           of those, with a face that covers a twentieth of the picture
        shares             of these four among those that were looked at
        examples           keys of some assets of each of the four but ``none``
        unreadable         pictures that cannot be decoded
        not_looked_at_yet  pictures that wait, or are away
        problem            why the step does not work here, if it does not
    """
    features = snapshot.context.features
    outcome = features.outcome(PEOPLE.name)
    if outcome is None:
        return {"on": False}
    unreadable = 0
    parts: dict[str, list[str]] = defaultdict(list)
    for row, feature in features.read(PEOPLE.name):
        shown = PicturePeople.of(feature)
        if shown is None:
            unreadable += 1
            continue
        parts[shown.people.value].append(snapshot.key(row))
        if shown.close_up:
            parts[CLOSE_UP].append(snapshot.key(row))
    counts = {name: len(parts[name]) for name in PARTS}
    looked_at = counts[NONE] + counts[People.ONE.value] + counts[People.GROUP.value]
    result: dict[str, Any] = {
        "on": True,
        "looked_at": looked_at,
        **counts,
        "shares": {
            name: round(count / max(looked_at, 1), SHARE_DIGITS) for name, count in counts.items()
        },
        "examples": {name: sorted(parts[name])[:EXAMPLES] for name in counts if name != NONE},
        "unreadable": unreadable,
        "not_looked_at_yet": len(snapshot) - looked_at - unreadable,
    }
    if outcome.error is not None:
        result["problem"] = outcome.error
    return result


PEOPLE_IN_PICTURES = Step(PEOPLE.name, VERSION, run)
