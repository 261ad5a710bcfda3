"""The hold on deleting objects, which a backup has while it copies them."""

from __future__ import annotations

HOLD_KEY = 0x7472697074796862
"""``triptyhb`` in ASCII: the advisory lock that backups share, and that a turn of the collector has
to get for itself alone."""
