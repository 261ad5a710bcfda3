"""Snapshots as documents in MongoDB, or in what speaks its protocol, such as DocumentDB."""
