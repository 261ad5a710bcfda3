"""The presence of workers."""
