"""Media other than pictures, which are stored unchanged: recognised by content."""

from __future__ import annotations

import puremagic

HEAD_BYTES = 4096
KEPT = ("video/", "audio/", "model/")
KEPT_TYPES = frozenset({"application/pdf", "application/x-matroska"})


def other_media(body: bytes) -> str | None:
    """Return the media type of a video, a sound, a 3-D model or a PDF; None for anything else."""
    try:
        matches = puremagic.magic_string(body[:HEAD_BYTES])
    except (puremagic.PureError, ValueError):
        return None
    kinds = [match.mime_type for match in matches]
    return next((kind for kind in kinds if kind.startswith(KEPT) or kind in KEPT_TYPES), None)
