"""The text in a picture, as it is kept, searched and shown."""

from __future__ import annotations

from typing import Annotated, Self

import msgspec
from msgspec import Meta

from triptych.features.feature_store import Feature, FeatureKind
from triptych.model import Metadata
from triptych.wire import Wire

TEXT = FeatureKind("text", 1)


class TextLine(Wire, frozen=True):
    """A line of text in a picture, and the upright box around it in shares of the picture."""

    text: str
    confidence: Annotated[float, Meta(description="How sure the reader is, 0 to 1.")]
    x: Annotated[float, Meta(description="Left edge of its box, as a share of the width.")]
    y: Annotated[float, Meta(description="Top edge of its box, as a share of the height.")]
    width: Annotated[float, Meta(description="Of its box, as a share of the picture's width.")]
    height: Annotated[float, Meta(description="Of its box, as a share of the picture's height.")]


class PictureText(Wire, frozen=True):
    """The text that was read in a picture."""

    lines: Annotated[list[TextLine], Meta(description="From top to bottom.")]
    left_out: Annotated[int, Meta(description="Further lines that were found and not kept.")]

    @property
    def text(self) -> str:
        """All lines, separated by line breaks."""
        return "\n".join(line.text for line in self.lines)

    @classmethod
    def of(cls, feature: Feature | None) -> Self | None:
        """Return the text that a feature holds; None if the picture was not, or cannot be, read."""
        if feature is None or feature.result is None:
            return None
        return msgspec.convert(feature.result, cls)

    def as_result(self) -> Metadata:
        """Return it as the result of a feature."""
        result: Metadata = msgspec.to_builtins(self)
        return result
