"""The rows of the bench, a module each."""

from bench.rows import committing, download, embedding, fan_in, live, messages

ROWS = (download, embedding, fan_in, committing, messages, live)
