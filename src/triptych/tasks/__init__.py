"""Accepted operations, and the work that some of them need."""
