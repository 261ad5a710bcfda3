"""A typed client of the API: what the commands speak, and programs may."""

from triptych.client.client import Client, open_client, open_socket_client

__all__ = ["Client", "open_client", "open_socket_client"]
