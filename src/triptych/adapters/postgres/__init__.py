"""Postgres: the catalogue, the queues on pgmq, the migrations, and the embedded server."""
