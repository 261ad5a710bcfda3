"""A typed client of the API: what `triptych --server` speaks, and programs may."""

from triptych.client.client import Client, open_client

__all__ = ["Client", "open_client"]
