"""Queues: the port, pgmq and SQS."""
