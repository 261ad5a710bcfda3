"""Backups of the embedded shape: what one consists of, and where it is kept."""
