"""Secrets that the database holds sealed, with a key that it does not hold."""
