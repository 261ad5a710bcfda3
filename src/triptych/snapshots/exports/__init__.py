"""Exports: a snapshot as files that other tools read."""
