"""The rows of the bench, a module each."""

from bench.rows import download

ROWS = (download,)
