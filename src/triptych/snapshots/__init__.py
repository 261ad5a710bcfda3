"""Committed snapshots: reading, search, comparison, exports, reports and retention."""
