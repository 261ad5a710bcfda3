"""Triptych measured beside what would be picked instead, in one run on one machine."""
