"""Immediate reads of committed snapshots: from Postgres, or from MongoDB that a projector fills."""
