"""The technical faults of a picture, from its measures and its size.

The limits were measured so that hardly any sound picture is named: see docs/insights.md, room
`quality`.
"""

from __future__ import annotations

from triptych.media.file_facts import FileFacts

SMALL_SIDE = 500
"""Longest side in pixels below which a picture is too small for a page's main picture."""
DETAIL_BLURRED = 0.2
"""Finest detail at or below which a picture is blurred or enlarged about four times, …"""
DETAIL_SOFT = 0.38
"""…and at or below which it is soft: slightly blurred, or enlarged two to four times."""
BLOCKS_VISIBLE = 1.8
"""Steps at the edges of JPEG's blocks from which a picture is compressed too much."""
FAULTS = ("blurred", "soft", "compressed", "small")
"""In the order in which they are shown."""


def faults_of(facts: FileFacts, width: int, height: int) -> list[str]:
    """Return which of `FAULTS` a picture has. An SVG has none.

    Args:
        facts: of its file.
        width: in pixels; 0 if it is not known, as is the ``height``.
        height: in pixels.
    """
    quality = facts.quality
    if quality is None:
        return []
    found = []
    if quality.detail is not None and quality.detail <= DETAIL_SOFT:
        found.append("blurred" if quality.detail <= DETAIL_BLURRED else "soft")
    if quality.blocks is not None and quality.blocks >= BLOCKS_VISIBLE:
        found.append("compressed")
    if 0 < max(width, height) < SMALL_SIDE:
        found.append("small")
    return found
