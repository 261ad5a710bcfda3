"""What a picture's file shows without any model: its style, its quality, and its origin.

The types alone, without the libraries that read a file: `triptych.media.file_reading` does, in
a decoder process. A decoder's answer is not trusted, and its texts are bounded here.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from triptych.wire import Wire

TEXT_MAX_CHARS = 300
"""Of one text that is kept; longer ones are cut, and end with an ellipsis."""

Text = Annotated[str, Meta(max_length=TEXT_MAX_CHARS)]


class FileOrigin(Wire, frozen=True):
    """What a file says of its rights and its origin. Nothing of it is verified."""

    copyright: Annotated[Text | None, Meta(description="Copyright notice, of EXIF, IPTC or XMP.")]
    creator: Annotated[Text | None, Meta(description="Who made it.")]
    credit: Annotated[Text | None, Meta(description="Who is to be credited.")]
    licence: Annotated[Text | None, Meta(description="Terms of use, or a page that has them.")]
    source_type: Annotated[
        Text | None,
        Meta(
            description="IPTC digital source type, such as `digitalCapture`, or"
            " `trainedAlgorithmicMedia` of generated pictures."
        ),
    ]
    has_place: Annotated[
        bool, Meta(description="Whether the file says where it was taken; the place is not kept.")
    ]
    has_content_credentials: Annotated[
        bool, Meta(description="Whether the file has a C2PA manifest. It is not verified.")
    ]
    unreadable: Annotated[
        list[Text],
        Meta(
            description="Parts that are broken or too large, such as `EXIF` or `XMP`.",
            max_length=8,
        ),
    ]

    @property
    def says_rights(self) -> bool:
        """Whether it names a copyright, a creator, a credit or a licence."""
        return any((self.copyright, self.creator, self.credit, self.licence))


class Style(msgspec.Struct, frozen=True):
    """How a picture was treated. Colours are OKLab times 100."""

    lightness: float
    green_red: float
    blue_yellow: float
    lightness_spread: float
    green_red_spread: float
    blue_yellow_spread: float
    chroma: float
    chroma_high: float
    """The ninth decile."""
    border: float
    """Mean distance of the border's colours from their median."""
    border_lightness: float
    border_chroma: float
    ground: float
    """Share of the picture that is of the border's colour."""
    tones: float
    """How far colours are from the mean colour of their lightness: 0 in a monochrome or a
    duotone."""
    frame: float
    """Width of a plain frame of another colour than what it surrounds, as a share of the side; 0
    if there is none."""
    frame_chroma: float
    badge: float
    """Largest share of a corner that is of one strong colour which the rest hardly has."""


class Quality(msgspec.Struct, frozen=True):
    """Technical quality."""

    detail: float | None
    """Finest detail relative to that four times as coarse, in the sharpest part; None: too plain
    to say."""
    blocks: float | None
    """How much larger steps are at the edges of JPEG's blocks than elsewhere; 1: as large."""


class FileFacts(msgspec.Struct, frozen=True):
    """What a file shows without any model."""

    style: Style
    quality: Quality | None
    """None for an SVG: it is sharp at every size."""
    origin: FileOrigin
