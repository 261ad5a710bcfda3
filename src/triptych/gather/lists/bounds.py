"""What a list may ask for at most: a small file can be made to expand to any size."""

from __future__ import annotations

from typing import Final

MIB: Final = 1024 * 1024

BYTES_MAX: Final = 16 * 1024 * MIB
"""Bytes of a list, compressed or not; a longer one can be split."""
RATIO_MAX: Final = 250
"""How many times its packed size a gzip, a zip, a workbook or a row group of a Parquet file may
unpack to. Lists of URLs come to 5 to 30; zeros to 1,032 in gzip, and to any size in others."""
RATIO_FREE_BYTES: Final = 64 * MIB
"""What anything may unpack to, whatever the ratio."""
PACKED_MAX_BYTES: Final = 256 * MIB
"""Bytes of a workbook, and of a Parquet file that is packed in a gzip or zip: both are held in
memory, for their readers seek, and a parser can write no files."""
TEXT_MAX_BYTES: Final = MIB
"""Characters of a line, a field of CSV, or an element of JSON."""
VALUES_MAX: Final = 6_000_000
"""Values of JSON that is held in memory whole: each takes some hundred bytes there, however short
it is written."""
ITEMS_MAX: Final = 100_000
"""Items of one page of a catalogue."""
RECORD_MAX_BYTES: Final = MIB
"""Bytes of a record as JSON, four times what metadata may be; a larger one is a bad record."""
RECORD_ROWS_MAX_BYTES: Final = 32 * MIB
"""Bytes of the rows of one record as JSON: each of its URLs gets the metadata."""
PAGE_MAX_BYTES: Final = 4 * MIB
"""Bytes of the rows after which a page ends, as JSON; it ends with the record that reaches it."""
LISTS_MAX_BYTES: Final = 8 * MIB
"""Bytes of what the parts of a list were found to be, as JSON."""
COLUMNS_MAX: Final = 20_000
"""Columns of a list; Excel has 16,384."""


def expanded_max_bytes(packed: int) -> int:
    """Return how many bytes so many packed ones may unpack to."""
    return max(RATIO_FREE_BYTES, RATIO_MAX * packed)
