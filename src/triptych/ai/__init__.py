"""Phase 3, AI: the step interface, the code that steps share, and the steps."""
