"""The rows of the bench, a module each."""

from bench.rows import (
    cold,
    committing,
    download,
    embedding,
    fan_in,
    growth,
    live,
    messages,
    neighbours,
    reads,
    stages,
)

ROWS = (
    *(download, embedding, fan_in, committing, messages),
    *(live, reads, growth, neighbours, cold, stages),
)
