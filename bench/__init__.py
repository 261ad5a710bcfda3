"""Measurements of the spine: `python -m bench`."""
