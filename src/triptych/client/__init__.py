"""A typed client of the API, for the command line and for other programs."""

from triptych.client.client import Client, open_client, open_socket_client

__all__ = ["Client", "open_client", "open_socket_client"]
