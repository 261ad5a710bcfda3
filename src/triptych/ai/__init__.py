"""Phase 3, AI: the step interface, what steps share, and the steps."""
