"""The list of workers, from their heartbeats."""
