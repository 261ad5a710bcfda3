"""Receiving messages from the queues and processing them with the phases."""
