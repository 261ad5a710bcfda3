"""Phase 2, acquire: from a URL to a settled item."""
