"""Fetching from untrusted servers."""
