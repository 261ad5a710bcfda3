"""The step ``quality``: which pictures are technically poor."""
