"""Snapshots, search and retention on Postgres."""
