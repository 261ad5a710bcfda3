"""Tags by what the asset step `people` has found, not by what a picture's embedding lies near."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.ai.step import Snapshot
from triptych.features.picture_people import PEOPLE, PicturePeople

PERSON = "person"
"""The tag of pictures with a face."""
FACE = "face"
"""The tag of close-ups."""


@dataclass(frozen=True, slots=True, eq=False)
class FaceTags:
    """Tags of some of a snapshot's embedded pictures, n in all."""

    places: npt.NDArray[np.intp]
    """(n,): the places of the pictures among the snapshot's embeddings."""
    tags: npt.NDArray[np.intp]
    """(n,): the numbers of the tags."""
    scores: npt.NDArray[np.float32]
    """(n,): how sure the detector is of the surest face, 0 to 1."""
    given: npt.NDArray[np.intp]
    """Numbers of the tags that are given by faces here, whether or not any picture has them."""

    def put_into(self, scores: npt.NDArray[np.float32], start: int) -> None:
        """Raise the scores of a block of embeddings, (rows, tags), that begins at ``start``."""
        here = (self.places >= start) & (self.places < start + len(scores))
        at = self.places[here] - start, self.tags[here]
        scores[at] = np.maximum(scores[at], self.scores[here])


def face_tags(snapshot: Snapshot, names: Sequence[str]) -> FaceTags:
    """Return the tags by faces, as far as they are among a vocabulary's ``names``.

    None where no people are looked for.
    """
    features = snapshot.context.features
    looks = features.outcome(PEOPLE.name) is not None
    numbers = {name: names.index(name) for name in (PERSON, FACE) if looks and name in names}
    place_of = {int(row): place for place, row in enumerate(snapshot.embedded)}
    found: list[tuple[int, int, float]] = []
    for row, feature in features.read(PEOPLE.name) if numbers else ():
        shown = PicturePeople.of(feature)
        if shown is None or not shown.faces or row not in place_of:
            continue
        surest = max(face.confidence for face in shown.faces)
        for name, is_given in ((PERSON, True), (FACE, shown.close_up)):
            if is_given and name in numbers:
                found.append((place_of[row], numbers[name], surest))
    places, tags, scores = zip(*found, strict=True) if found else ((), (), ())
    return FaceTags(
        np.array(places, np.intp),
        np.array(tags, np.intp),
        np.array(scores, np.float32),
        np.array(list(numbers.values()), np.intp),
    )
