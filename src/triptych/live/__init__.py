"""Live status: the newest state of what changed, pushed."""
