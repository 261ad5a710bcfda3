"""What a picture takes in the database, in bytes: `python -m bench.row_bytes` measures them.

Measured on the embedded Postgres 18 on 29 November 2026, with 10,000 pictures of one brand, a URL
of 80 characters, an embedding of 1,280 half-precision numbers, and all indexes, after `vacuum`.
tests/bench/test_row_bytes.py measures fewer and fails if these are far off.
"""

from __future__ import annotations

ASSET_B = 4_180
"""A row of `assets`: of each snapshot that is kept. Two fit a page of 8 KiB; without metadata and
with short URLs three would, which is 2,800 bytes."""
SEARCHABLE_B = 2_780
"""A row of `searchable`, which is of the current snapshot alone."""
INDEX_B = 4_100
"""Its entry in the graph of neighbours (HNSW)."""
DOCUMENT_B = 1_490
"""Its document in MongoDB, of an edition, as BSON: with marks, three colours and two columns of
metadata. What DocumentDB needs on its disk for that was not measured."""
SNAPSHOTS = 5
"""That are kept of a brand by default: `TRIPTYCH_KEEP_SNAPSHOTS`."""


def kept_bytes(snapshots: int) -> int:
    """Return the bytes of a picture that so many kept snapshots have."""
    return snapshots * ASSET_B + SEARCHABLE_B + INDEX_B
