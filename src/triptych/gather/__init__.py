"""Phase 1, gather: from a source to a run's items."""
