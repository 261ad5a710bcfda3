"""Kinds of media that are kept as they are: told by content."""

from __future__ import annotations

import puremagic

from triptych.errors import PermanentItemError
from triptych.media.decode import SVG
from triptych.media.svg import looks_like_svg
from triptych.model import Reason

HEAD_BYTES = 4096
KEPT = ("video/", "audio/", "model/")
KEPT_TYPES = frozenset({"application/pdf", "application/x-matroska"})

PICTURES = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG": "image/png",
    b"GIF8": "image/gif",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"BM": "image/bmp",
}
"""By their first bytes."""
BOXES = {
    b"ftypavif": "image/avif",
    b"ftypavis": "image/avif",
    b"ftypheic": "image/heic",
    b"ftypheix": "image/heic",
    b"ftypmif1": "image/heif",
}
"""By what stands at the fifth."""


def picture_type(body: bytes) -> str:
    """Return the media type of a picture by its first bytes; the rest may be broken.

    Raises:
        PermanentItemError: it does not begin as a picture.
    """
    for head, kind in PICTURES.items():
        if body.startswith(head):
            return kind
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    if (boxed := BOXES.get(body[4:12])) is not None:
        return boxed
    if looks_like_svg(body):
        return SVG
    raise PermanentItemError(Reason.NOT_AN_IMAGE, "its first bytes are no picture's")


def other_media(body: bytes) -> str | None:
    """Return the media type of a video, a sound, a 3-D model or a PDF; None for anything else."""
    try:
        matches = puremagic.magic_string(body[:HEAD_BYTES])
    except (puremagic.PureError, ValueError):
        return None
    kinds = [match.mime_type for match in matches]
    return next((kind for kind in kinds if kind.startswith(KEPT) or kind in KEPT_TYPES), None)
