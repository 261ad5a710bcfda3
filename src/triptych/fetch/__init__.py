"""Fetching from servers that nobody vouches for."""
