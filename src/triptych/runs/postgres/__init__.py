"""Runs and brands on Postgres."""
