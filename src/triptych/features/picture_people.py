"""The people in a picture, as they are kept, counted and shown: where faces are, and no more."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

import msgspec
from msgspec import Meta

from triptych.features.feature_store import Feature, FeatureKind
from triptych.model import Metadata
from triptych.wire import Wire

PEOPLE = FeatureKind("people", 1)
CLOSE_UP_SHARE = 0.05
"""Of the picture that its largest face covers at least in a close-up: a face of a quarter of the
height of a picture that is nearly square."""


class People(StrEnum):
    """How many people a picture shows, by their faces."""

    NONE = "none"
    ONE = "one"
    GROUP = "group"
    """Two or more."""


class Face(Wire, frozen=True):
    """A face in a picture, as the upright box around it in shares of the picture."""

    confidence: Annotated[float, Meta(description="How sure the detector is, 0 to 1.")]
    x: Annotated[float, Meta(description="Left edge of its box, as a share of the width.")]
    y: Annotated[float, Meta(description="Top edge of its box, as a share of the height.")]
    width: Annotated[float, Meta(description="Of its box, as a share of the picture's width.")]
    height: Annotated[float, Meta(description="Of its box, as a share of the picture's height.")]


class PicturePeople(Wire, frozen=True):
    """The people that a picture shows. Nothing says who they are, how old, or of which sex."""

    people: Annotated[People, Meta(description="`group`: two or more.")]
    close_up: Annotated[
        bool, Meta(description="Whether its largest face covers a twentieth of it: a portrait.")
    ]
    faces: Annotated[list[Face], Meta(description="The largest first.")]
    left_out: Annotated[int, Meta(description="Further faces that were found and not kept.")]

    @classmethod
    def with_faces(cls, faces: list[Face], left_out: int = 0) -> Self:
        """Return what a picture with these faces, the largest first, shows."""
        largest = faces[0].width * faces[0].height if faces else 0.0
        counted = {0: People.NONE, 1: People.ONE}.get(len(faces), People.GROUP)
        return cls(counted, largest >= CLOSE_UP_SHARE, faces, left_out)

    @classmethod
    def of(cls, feature: Feature | None) -> Self | None:
        """Return what a feature holds; None if the picture was not, or cannot be, looked at."""
        if feature is None or feature.result is None:
            return None
        return msgspec.convert(feature.result, cls)

    def as_result(self) -> Metadata:
        """Return it as the result of a feature."""
        result: Metadata = msgspec.to_builtins(self)
        return result
