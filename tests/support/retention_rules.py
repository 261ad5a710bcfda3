"""Retention rules for tests of the collector."""

from __future__ import annotations

from triptych.workers.collector import RetentionRules

COLLECT_AT_ONCE = RetentionRules(
    snapshots=1,
    age_s=0.0,
    timeline_s=3600.0,
    every_s=0.0,
    object_grace_s=0.0,
    settled_s=1.0,
    tombstones_s=3600.0,
    uploads_s=3600.0,
)
"""Everything is collected as soon as it may be."""
