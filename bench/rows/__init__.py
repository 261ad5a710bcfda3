"""The rows of the bench, a module each."""

from bench.rows import download, embedding, fan_in

ROWS = (download, embedding, fan_in)
