"""The HTTP API, ``/api/v1``: immediate answers from the database, and submitted tasks."""
