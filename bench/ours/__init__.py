"""Programs of ours that are measured."""
