"""How fast URLs are acquired on AWS, as costs and the simulation assume it."""

URLS_SECOND = 50.0
"""One acquire task of two processors: decoding and the bundled model, neither waits for servers."""
LAMBDA_BATCH_S = 2.5
"""Mostly waiting for servers, which a worker of 64 downloads at a time does not pay for."""
